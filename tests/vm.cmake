# SPDX-License-Identifier: MIT
# Whole-VM tests: guests in the patched QEMU, which takes both CPUs, so one at a time. 77: no QEMU or no guest to be had.
find_package(Python3 3.9 COMPONENTS Interpreter)

# vmtape_vm_test(NAME truth_x SCRIPT vm/truth_test.py ARGS --kernel 6.1)
function(vmtape_vm_test)
  cmake_parse_arguments(arg "" "NAME;SCRIPT;TIMEOUT" "ARGS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  add_test(NAME vm.${arg_NAME} COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS})
  set_tests_properties(vm.${arg_NAME} PROPERTIES LABELS vm SKIP_RETURN_CODE 77 TIMEOUT ${arg_TIMEOUT} RUN_SERIAL TRUE
                       ENVIRONMENT "VMTAPE_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

add_executable(page_order_check tools/page_order_check.c)
target_link_libraries(page_order_check PRIVATE vmtape-format)

# Runs in the guest, which has no libraries.
add_executable(fd_workload vm/fd_workload.c)
target_compile_options(fd_workload PRIVATE -fno-sanitize=all)
target_link_options(fd_workload PRIVATE -fno-sanitize=all -static)
target_link_libraries(fd_workload PRIVATE pthread)

if(Python3_FOUND)
  # One boot of each kernel has all workloads: hundreds of different system calls, and real programs.
  vmtape_vm_test(NAME truth_6.1_pti SCRIPT vm/truth_test.py TIMEOUT 1200
                 ARGS --kernel 6.1 --append pti=on --attach before --set all)
  vmtape_vm_test(NAME truth_6.1_nopti SCRIPT vm/truth_test.py ARGS --kernel 6.1 --append nopti --attach late)
  vmtape_vm_test(NAME truth_6.1_nokaslr SCRIPT vm/truth_test.py ARGS --kernel 6.1 --append "pti=on nokaslr" --attach late)
  vmtape_vm_test(NAME truth_6.12_pti SCRIPT vm/truth_test.py TIMEOUT 1200
                 ARGS --kernel 6.12 --append pti=on --attach late --set all)
  vmtape_vm_test(NAME truth_6.12_nopti SCRIPT vm/truth_test.py ARGS --kernel 6.12 --append nopti --attach before)
  vmtape_vm_test(NAME truth_6.12_nokaslr SCRIPT vm/truth_test.py ARGS --kernel 6.12 --append "pti=on nokaslr" --attach late)
  vmtape_vm_test(NAME truth_newest_pti SCRIPT vm/truth_test.py TIMEOUT 1200
                 ARGS --kernel newest --append pti=on --attach late --set all)
  # What the others leave out: one vCPU, page tables of 4 levels, RAM above the PCI hole, RAM that can't be mapped.
  vmtape_vm_test(NAME truth_6.12_large SCRIPT vm/truth_test.py
                 ARGS --kernel 6.12 --smp 1 --cpu max,la57=off --memory-mb 4096 --private-ram --append pti=on)
  vmtape_vm_test(NAME attach_in_boot SCRIPT vm/attach_test.py)
  vmtape_vm_test(NAME kill_recorder SCRIPT vm/kill_test.py ARGS recorder)
  vmtape_vm_test(NAME kill_qemu SCRIPT vm/kill_test.py ARGS qemu)
  vmtape_vm_test(NAME ring SCRIPT vm/ring_test.py TIMEOUT 1200)
  vmtape_vm_test(NAME unknown_guest SCRIPT vm/unknown_guest_test.py)
  vmtape_vm_test(NAME bad_input SCRIPT vm/bad_input_test.py)
  vmtape_vm_test(NAME filter SCRIPT vm/filter_test.py)
  vmtape_vm_test(NAME snapshot SCRIPT vm/snapshot_test.py)
  vmtape_vm_test(NAME fds SCRIPT vm/fds_test.py)
  vmtape_vm_test(NAME memory SCRIPT vm/memory_test.py)
  vmtape_vm_test(NAME follow SCRIPT vm/follow_test.py)
endif()
