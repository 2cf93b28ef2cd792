# SPDX-License-Identifier: MIT

# Pairing, processes, times, filters, output.
vmtape_test(NAME u64_map LABEL unit SOURCES unit/test_u64_map.c LIBS vmtape-analyzer)
vmtape_test(NAME clock LABEL unit SOURCES unit/test_clock.c LIBS vmtape-analyzer)
vmtape_test(NAME pairing LABEL unit SOURCES unit/test_pairing.c unit/call_fixture.c LIBS vmtape-analyzer)
vmtape_test(NAME processes LABEL unit SOURCES unit/test_processes.c unit/call_fixture.c LIBS vmtape-analyzer)
