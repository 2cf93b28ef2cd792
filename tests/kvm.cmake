# SPDX-License-Identifier: MIT
# The patched KVM, run for real: L1 machines in emulators, guests in them. Each takes both CPUs, so one at a time.
# 77: something is missing, and the test says what.

# vmtape_kvm_test(NAME l2_late SCRIPT tests/kvm/l2_test.py ARGS --attach late)
function(vmtape_kvm_test)
  cmake_parse_arguments(arg "" "NAME;SCRIPT;TIMEOUT" "ARGS" ${ARGN})
  add_test(NAME kvm.${arg_NAME} COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS})
  set_tests_properties(kvm.${arg_NAME} PROPERTIES LABELS kvm SKIP_RETURN_CODE 77 TIMEOUT ${arg_TIMEOUT} RUN_SERIAL TRUE
                       ENVIRONMENT "VMTAPE_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

if(Python3_FOUND)
  vmtape_kvm_test(NAME selftests.svm SCRIPT tests/kvm/svm_test.py TIMEOUT 1800)
  vmtape_kvm_test(NAME vmx SCRIPT tests/kvm/vmx_test.py TIMEOUT 1200)
  vmtape_kvm_test(NAME recorder_object SCRIPT tests/kvm/recorder_object_test.py TIMEOUT 600)
  vmtape_kvm_test(NAME l2.late SCRIPT tests/kvm/l2_test.py ARGS --attach late --smp 2 TIMEOUT 1500)
  vmtape_kvm_test(NAME l2.before SCRIPT tests/kvm/l2_test.py ARGS --attach before --smp 1 TIMEOUT 900)
  vmtape_kvm_test(NAME l2.npt0 SCRIPT tests/kvm/l2_test.py ARGS --attach late --smp 1 --vendor npt=0 --short TIMEOUT 900)
  vmtape_kvm_test(NAME l2.kills SCRIPT tests/kvm/l2_kill_test.py TIMEOUT 1500)
  vmtape_kvm_test(NAME cost SCRIPT bench/kvm_cost.py ARGS --check TIMEOUT 900)
endif()
