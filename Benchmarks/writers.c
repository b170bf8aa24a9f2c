#include "writers.h"

#include "util.h"

static void *writer_main(void *context) {
    struct writers *writers = context;
    struct subject subject = *writers->subject;
    subject.latencies = NULL; /* which are one thread's */
    if (subject.engine->env_per_thread) {
        subject.env = open_at(writers->config, subject.engine, writers->path, false);
    }
    for (;;) {
        pthread_barrier_wait(&writers->start);
        if (writers->is_stopping) {
            break;
        }
        uint64_t number;
        while ((number = atomic_fetch_add(&writers->next_number, 1)) < writers->end_number) {
            loop_commit_new(&subject, number, 1, 1);
        }
        pthread_barrier_wait(&writers->end);
    }
    if (subject.engine->env_per_thread) {
        subject.engine->close(subject.env);
    }
    return NULL;
}

void writers_start(struct writers *writers, const struct config *config, struct subject *subject,
                   const char *path) {
    *writers = (struct writers){.config = config, .subject = subject, .path = path};
    pthread_barrier_init(&writers->start, NULL, WRITERS + 1);
    pthread_barrier_init(&writers->end, NULL, WRITERS + 1);
    for (int i = 0; i < WRITERS; i++) {
        if (pthread_create(&writers->threads[i], NULL, writer_main, writers) != 0) {
            die("cannot start a thread");
        }
    }
}

void writers_stop(struct writers *writers) {
    writers->is_stopping = true;
    pthread_barrier_wait(&writers->start);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers->threads[i], NULL);
    }
    pthread_barrier_destroy(&writers->start);
    pthread_barrier_destroy(&writers->end);
}

void writers_commit(struct writers *writers, uint64_t commits) {
    struct subject *subject = writers->subject;
    atomic_store(&writers->next_number, subject->entries);
    writers->end_number = subject->entries + commits;
    pthread_barrier_wait(&writers->start);
    pthread_barrier_wait(&writers->end);
    subject->entries += commits;
}
