# SPDX-License-Identifier: MIT
# From records to calls of named processes; the vmtape command and libvmtape.
target_sources(vmtape-analyzer PRIVATE
  arg_plain.c
  arg_raw.c
  boot_clock.c
  call_build.c
  call_groups.c
  call_live.c
  call_stream.c
  clock.c
  core_elf.c
  filter.c
  filter_parse.c
  histogram.c
  memory_image.c
  out_file.c
  output/json.c
  output/text.c
  output/traps.c
  pairing.c
  process_events.c
  process_exe.c
  process_list.c
  processes.c
  sequence.c
  session.c
  table.c
  tape_census.c
  tape_copy.c
  time_text.c
  tracker.c
  u64_map.c)

add_executable(vmtape
  cmd_cut.c
  cmd_diff.c
  cmd_events.c
  cmd_info.c
  cmd_memory.c
  cmd_merge.c
  cmd_plan.c
  cmd_ps.c
  cmd_stats.c
  cmd_verify.c
  command.c
  terminal.c
  events_follow.c
  main.c)
target_compile_definitions(vmtape PRIVATE VMTAPE_VERSION="${PROJECT_VERSION}")
target_link_libraries(vmtape PRIVATE vmtape-analyzer)

# Exports what libvmtape.map lists and nothing else.
add_library(vmtape-shared SHARED vmtape.c)
set_target_properties(vmtape-shared PROPERTIES OUTPUT_NAME vmtape VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/libvmtape.map)
target_compile_definitions(vmtape-shared PRIVATE VMTAPE_VERSION="${PROJECT_VERSION}")
target_include_directories(vmtape-shared INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(vmtape-shared PRIVATE vmtape-analyzer)
target_link_options(vmtape-shared PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/libvmtape.map)

# Relative to where the file lies, so that what was installed may be moved.
file(RELATIVE_PATH VMTAPE_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(vmtape.pc.in vmtape.pc @ONLY)
install(TARGETS vmtape RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS vmtape-shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES vmtape.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vmtape.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
foreach(page vmtape vmtape-cut vmtape-diff vmtape-events vmtape-info vmtape-memory vmtape-merge vmtape-plan vmtape-ps vmtape-stats vmtape-verify)
  install(FILES ${PROJECT_SOURCE_DIR}/docs/man/${page}.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endforeach()
