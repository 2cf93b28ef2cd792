# SPDX-License-Identifier: MIT
# From records to calls of named processes; the vmtape command and libvmtape.
target_sources(vmtape-analyzer PRIVATE
  arg_plain.c
  arg_raw.c
  boot_clock.c
  call_batch.c
  call_build.c
  call_fd_text.c
  call_groups.c
  call_live.c
  call_pool.c
  call_stream.c
  call_touch.c
  clock.c
  core_elf.c
  cut_choice.c
  fd_calls.c
  fd_link.c
  fd_object.c
  fd_paths.c
  fd_record.c
  fd_table.c
  filter.c
  filter_parse.c
  filter_reach.c
  histogram.c
  memory_image.c
  out_file.c
  output/hook.c
  output/json.c
  output/text.c
  output/traps.c
  pairing.c
  process_events.c
  process_exe.c
  process_fds.c
  process_fds_life.c
  process_fds_links.c
  process_fds_names.c
  process_fds_new.c
  process_fds_numbers.c
  process_fds_paths.c
  process_fds_rights.c
  process_fds_snapshot.c
  process_fds_sockets.c
  process_list.c
  process_maps.c
  process_moment.c
  process_regions.c
  processes.c
  record_store.c
  sequence.c
  session.c
  skip_plan.c
  table.c
  tape_census.c
  terminal.c
  tape_copy.c
  time_text.c
  tracker.c
  u64_map.c)

# libvmtape's functions: in the library, and in the command for hooks of users.
add_library(vmtape-public OBJECT
  hook_set.c
  public_call.c
  public_memory.c
  public_trap.c
  vmtape.c)
target_compile_definitions(vmtape-public PRIVATE VMTAPE_VERSION="${PROJECT_VERSION}")
target_link_libraries(vmtape-public PUBLIC vmtape-analyzer)

# What `vmtape events` is made of, also inside Python.
add_library(vmtape-events OBJECT
  cmd_events.c
  command.c
  events_follow.c
  hook_plugin.c
  sandbox.c)
target_link_libraries(vmtape-events PUBLIC vmtape-analyzer PkgConfig::SECCOMP)
if(VMTAPE_SANITIZE OR VMTAPE_FUZZ)
  target_compile_definitions(vmtape-events PRIVATE VMTAPE_SANITIZED)
endif()

add_executable(vmtape
  $<TARGET_OBJECTS:vmtape-events>
  $<TARGET_OBJECTS:vmtape-public>
  call_report.c
  cmd_cut.c
  cmd_diff.c
  cmd_fds.c
  cmd_files.c
  cmd_info.c
  cmd_maps.c
  cmd_memory.c
  cmd_merge.c
  cmd_net.c
  cmd_plan.c
  cmd_ps.c
  cmd_stats.c
  cmd_verify.c
  main.c)
target_compile_definitions(vmtape PRIVATE VMTAPE_VERSION="${PROJECT_VERSION}")
target_link_libraries(vmtape PRIVATE vmtape-analyzer PkgConfig::SECCOMP ${CMAKE_DL_LIBS})
# What vmtape.h declares, for hooks in shared objects.
set_target_properties(vmtape PROPERTIES ENABLE_EXPORTS ON)

# Exports what libvmtape.map lists and nothing else.
add_library(vmtape-shared SHARED $<TARGET_OBJECTS:vmtape-public>)
set_target_properties(vmtape-shared PROPERTIES OUTPUT_NAME vmtape VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/libvmtape.map)
target_include_directories(vmtape-shared INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(vmtape-shared PRIVATE vmtape-analyzer)
target_link_options(vmtape-shared PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/libvmtape.map)

include(python/python.cmake)

# Relative to where the file lies, so that what was installed may be moved.
file(RELATIVE_PATH VMTAPE_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(vmtape.pc.in vmtape.pc @ONLY)
install(TARGETS vmtape RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS vmtape-shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES vmtape.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vmtape.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
foreach(page vmtape vmtape-cut vmtape-diff vmtape-events vmtape-fds vmtape-files vmtape-info vmtape-maps vmtape-memory vmtape-merge vmtape-net vmtape-plan vmtape-ps vmtape-stats vmtape-verify)
  install(FILES ${PROJECT_SOURCE_DIR}/docs/man/${page}.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/docs/man/libvmtape.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
