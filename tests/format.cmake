# SPDX-License-Identifier: MIT

# Trap ring, records, capture plans.
vmtape_test(NAME trap_record LABEL unit SOURCES unit/test_trap_record.c LIBS vmtape-format)
vmtape_test(NAME trap_ring LABEL unit SOURCES unit/test_trap_ring.c LIBS vmtape-format)
vmtape_test(NAME trap_ring_threads LABEL unit SOURCES unit/test_trap_ring_threads.c LIBS vmtape-format Threads::Threads)
