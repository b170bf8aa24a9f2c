# Adds up what a callgrind profile (--dump-instr=yes, no compression) says was done: prints
#   instructions N     executed in all
#   locked N           of them with a lock prefix, or xchg with memory, which implies one
#   allocations N      calls of the allocators, C's and Swift's
#   frees N
#   refcounts N        calls of Swift's reference counting and exclusivity checks
#   locks N            calls that take or give back a lock
#   call N name        for each function called
#
# -v locked_files="OBJECT=LIST ..." names, for each object file, a list of the addresses of its
# locked instructions, one in a line.

BEGIN {
    allocator = "^(malloc|calloc|realloc|memalign|posix_memalign|aligned_alloc)$" \
        "|^swift_(slowAlloc|allocObject|initStackObject)"
    deallocator = "^(free|cfree)$|^swift_(slowDealloc|dealloc)"
    refcounter = "^_?swift_.*([rR]etain|[rR]elease|isUniquelyReferenced)" \
        "|^swift_(begin|end)Access"
    locker = "^_*(pthread_(mutex|rwlock|spin|cond)_|lll_(lock|unlock)|futex)"
    count = split(locked_files, pairs, " ")
    for (i = 1; i <= count; i++) {
        separator = index(pairs[i], "=")
        object = substr(pairs[i], 1, separator - 1)
        list = substr(pairs[i], separator + 1)
        while ((getline address < list) > 0) {
            is_locked[object, "0x" address] = 1
        }
        close(list)
    }
}

/^ob=/ { object = substr($0, 4) }
/^cfn=/ { called = substr($0, 5) }
/^calls=/ {
    split(substr($1, 7), fields, " ")
    calls[called] += fields[1]
    getline # the cost of the call, counted where it arises
    next
}
/^totals:/ { instructions = $2 }
/^0x/ {
    if ((object, $1) in is_locked) {
        locked += $3
    }
}

END {
    for (name in calls) {
        plain = name
        sub(/@.*/, "", plain) # symbol versions
        sub(/'[0-9]+$/, "", plain) # recursion levels
        print "call", calls[name], plain
        if (plain ~ allocator) {
            allocations += calls[name]
        } else if (plain ~ deallocator) {
            frees += calls[name]
        } else if (plain ~ refcounter) {
            refcounts += calls[name]
        } else if (plain ~ locker) {
            locks += calls[name]
        }
    }
    printf "instructions %.0f\nlocked %.0f\n", instructions, locked
    printf "allocations %.0f\nfrees %.0f\n", allocations, frees
    printf "refcounts %.0f\nlocks %.0f\n", refcounts, locks
}
