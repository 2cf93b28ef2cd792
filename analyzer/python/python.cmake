# SPDX-License-Identifier: MIT
# The Python package vmtape: an extension module by Python's limited API, and what is better said in Python.
set(VMTAPE_PYTHON_DIR "" CACHE STRING "Where the package is installed, relative to the prefix; empty: where this Python looks")
find_package(Python3 3.10 QUIET COMPONENTS Interpreter Development.Module)
if(Python3_Development.Module_FOUND)
  set(python_dir ${VMTAPE_PYTHON_DIR})
  if(NOT python_dir)
    get_filename_component(python_site ${Python3_SITEARCH} NAME)
    set(python_dir lib/python${Python3_VERSION_MAJOR}.${Python3_VERSION_MINOR}/${python_site})
    # Debian's own packages are of all versions of Python 3.
    if(python_site STREQUAL dist-packages AND CMAKE_INSTALL_PREFIX STREQUAL /usr)
      set(python_dir lib/python3/dist-packages)
    endif()
  endif()
  set(python_build ${CMAKE_CURRENT_BINARY_DIR}/python/vmtape)
  set(python_sources __init__.py __init__.pyi host.py py.typed)
  add_library(vmtape-python MODULE
    $<TARGET_OBJECTS:vmtape-events>
    $<TARGET_OBJECTS:vmtape-public>
    python/module.c
    python/module_calls.c
    python/module_host.c
    python/module_tape.c)
  # `vmtape events --hooks FILE.py` runs in it.
  add_dependencies(vmtape vmtape-python)
  set_target_properties(vmtape-python PROPERTIES PREFIX "" OUTPUT_NAME _vmtape SUFFIX .abi3.so
                        LIBRARY_OUTPUT_DIRECTORY ${python_build}
                        LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/python/module.map)
  target_include_directories(vmtape-python SYSTEM PRIVATE ${Python3_INCLUDE_DIRS})
  target_include_directories(vmtape-python PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(vmtape-python PRIVATE vmtape-analyzer PkgConfig::SECCOMP ${CMAKE_DL_LIBS})
  target_link_options(vmtape-python PRIVATE
                      -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/python/module.map)
  foreach(file ${python_sources})
    configure_file(python/vmtape/${file} ${python_build}/${file} COPYONLY)
    install(FILES python/vmtape/${file} DESTINATION ${python_dir}/vmtape)
  endforeach()
  install(TARGETS vmtape-python LIBRARY DESTINATION ${python_dir}/vmtape)
else()
  message(STATUS "Python's headers are missing (python3-dev): the module vmtape and hooks in Python are left out")
  set(python_dir lib/python3/dist-packages)
endif()
file(RELATIVE_PATH python_place ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_PREFIX}/${python_dir})
target_compile_definitions(vmtape-events PRIVATE VMTAPE_PYTHON_PLACE="${python_place}")
