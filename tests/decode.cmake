# SPDX-License-Identifier: MIT
vmtape_test(NAME strbuf LABEL unit SOURCES unit/test_strbuf.c LIBS vmtape-analyzer)
vmtape_test(NAME arg_decode LABEL unit SOURCES unit/test_arg_decode.c LIBS vmtape-analyzer)
vmtape_test(NAME arg_structs LABEL unit SOURCES unit/test_arg_structs.c LIBS vmtape-analyzer)
vmtape_test(NAME fd_records LABEL unit SOURCES unit/test_fd_records.c LIBS vmtape-analyzer)
vmtape_test(NAME plan_compile LABEL unit SOURCES unit/test_plan_compile.c unit/decode_fixture.c LIBS vmtape-analyzer)

# The plan and the decoder against strace, on real calls of this machine.
add_executable(decode_tracer unit/decode_tracer.c unit/decode_fixture.c)
target_link_libraries(decode_tracer PRIVATE vmtape-analyzer)
foreach(part "" _kernel _compat)
  add_executable(decode_workload${part} unit/decode_workload${part}.c)
  # A sanitizer's runtime makes calls of its own.
  target_compile_options(decode_workload${part} PRIVATE -fno-sanitize=all)
  target_link_options(decode_workload${part} PRIVATE -fno-sanitize=all)
  add_test(NAME unit.decode_truth${part} COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/unit/decode_truth.py
           $<TARGET_FILE:decode_tracer> $<TARGET_FILE:decode_workload${part}>)
  set_tests_properties(unit.decode_truth${part} PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 120)
endforeach()

vmtape_fuzz(NAME arg_decode LIBS vmtape-analyzer)
