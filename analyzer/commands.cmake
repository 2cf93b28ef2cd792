# SPDX-License-Identifier: MIT
# From records to calls of named processes; the vmtape command and libvmtape.
target_sources(vmtape-analyzer PRIVATE
  arg_plain.c
  call_build.c
  call_stream.c
  clock.c
  filter.c
  filter_parse.c
  output/json.c
  output/text.c
  output/traps.c
  pairing.c
  process_events.c
  processes.c
  session.c
  time_text.c
  tracker.c
  u64_map.c)
