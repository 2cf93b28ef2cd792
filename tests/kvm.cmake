# SPDX-License-Identifier: MIT
# The patched KVM, run for real: L1 machines in emulators, guests in them. 77: something is missing, and the test says what.
# An emulator with two vCPUs takes both CPUs, so it runs alone; those with one, two at a time, the longest first.

# vmtape_kvm_test(NAME l2_late SCRIPT tests/kvm/l2_test.py ARGS --attach late)
function(vmtape_kvm_test)
  cmake_parse_arguments(arg "ONE_VCPU" "NAME;SCRIPT;TIMEOUT" "ARGS" ${ARGN})
  add_test(NAME kvm.${arg_NAME} COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS})
  set_tests_properties(kvm.${arg_NAME} PROPERTIES LABELS kvm SKIP_RETURN_CODE 77 TIMEOUT ${arg_TIMEOUT}
                       ENVIRONMENT "VMTAPE_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
  if(NOT arg_ONE_VCPU)
    set_tests_properties(kvm.${arg_NAME} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

if(Python3_FOUND)
  vmtape_kvm_test(NAME selftests.svm SCRIPT tests/kvm/svm_test.py TIMEOUT 1800)
  vmtape_kvm_test(NAME vmx ONE_VCPU SCRIPT tests/kvm/vmx_test.py TIMEOUT 1200)
  vmtape_kvm_test(NAME recorder_object SCRIPT tests/kvm/recorder_object_test.py TIMEOUT 600)
  vmtape_kvm_test(NAME l2.late SCRIPT tests/kvm/l2_test.py ARGS --attach late --smp 2 TIMEOUT 1500)
  vmtape_kvm_test(NAME l2.before ONE_VCPU SCRIPT tests/kvm/l2_test.py ARGS --attach before --smp 1 TIMEOUT 900)
  vmtape_kvm_test(NAME l2.npt0 ONE_VCPU SCRIPT tests/kvm/l2_test.py ARGS --attach late --smp 1 --vendor npt=0 --short TIMEOUT 900)
  vmtape_kvm_test(NAME l2.kills SCRIPT tests/kvm/l2_kill_test.py TIMEOUT 1500)
  vmtape_kvm_test(NAME cost ONE_VCPU SCRIPT bench/kvm_cost.py ARGS --check TIMEOUT 900)
  set_tests_properties(kvm.vmx PROPERTIES COST 100)
endif()
