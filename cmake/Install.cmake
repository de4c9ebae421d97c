# cmake --install: bin/rung and lib/, which finds itself through $ORIGIN and so runs from wherever it is moved to.
set(RUNG_TORCH_LIBRARIES libtorch_cpu.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13)
install(TARGETS rung RUNTIME DESTINATION bin)
foreach(library ${RUNG_TORCH_LIBRARIES})
  install(FILES "${RUNG_TORCH_DIR}/lib/${library}" DESTINATION lib)
endforeach()
if(TARGET rung_cuda)
  install(FILES "${CMAKE_BINARY_DIR}/librung_cuda.so" DESTINATION lib)
endif()
