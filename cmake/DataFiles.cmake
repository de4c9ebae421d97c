# Data files that the program looks up (trainer/base/data_file.h): share/rung in the build folder links to the sources,
# an installed tree has copies.
set(RUNG_DATA_FILES shapes.yaml gpus.yaml)
foreach(file ${RUNG_DATA_FILES})
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/share/rung")
  file(CREATE_LINK "${CMAKE_SOURCE_DIR}/configs/${file}" "${CMAKE_BINARY_DIR}/share/rung/${file}" SYMBOLIC)
  install(FILES "${CMAKE_SOURCE_DIR}/configs/${file}" DESTINATION share/rung)
endforeach()
