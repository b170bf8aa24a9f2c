# Adds up what a callgrind profile (--dump-instr=yes, no compression) says was done: prints
#   instructions N     executed in all
#   locked N           of them with a lock prefix, or xchg with memory, which implies one
#   allocations N      calls of the allocators, C's and Swift's
#   frees N
#   refcounts N        calls of Swift's reference counting and exclusivity checks
#   locks N            calls that take or give back a lock
#   call N name        for each function called
#
# -v locked_files=FILE names a file with a line for each object file: its path, a tab, the path of
# a list of the addresses of its locked instructions, one in a line.

BEGIN {
    allocator = "^(malloc|calloc|realloc|memalign|posix_memalign|aligned_alloc)$" \
        "|^swift_(slowAlloc|allocObject|initStackObject)"
    deallocator = "^(free|cfree)$|^swift_(slowDealloc|dealloc)"
    refcounter = "^_?swift_.*([rR]etain|[rR]elease|isUniquelyReferenced)" \
        "|^swift_(begin|end)Access"
    locker = "^_*(pthread_(mutex|rwlock|spin|cond)_|lll_(lock|unlock)|futex)"
    while ((getline line < locked_files) > 0) {
        split(line, pair, "\t")
        while ((getline address < pair[2]) > 0) {
            is_locked[pair[1], "0x" address] = 1
        }
        close(pair[2])
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
