# cmake --install: bin/rung and lib/, which finds itself through $ORIGIN and so runs from wherever it is moved to.
set(RUNG_TORCH_LIBRARIES libtorch_cpu.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13)
install(TARGETS rung RUNTIME DESTINATION bin)
foreach(library ${RUNG_TORCH_LIBRARIES})
  install(FILES "${RUNG_TORCH_DIR}/lib/${library}" DESTINATION lib)
endforeach()
if(TARGET rung_cuda)
  install(TARGETS rung_cuda LIBRARY DESTINATION lib)
  install(FILES "${RUNG_TORCH_DIR}/lib/libtorch_cuda.so" "${RUNG_TORCH_DIR}/lib/libc10_cuda.so"
    "${RUNG_TORCH_DIR}/lib/libtorch_nvshmem.so" DESTINATION lib)
  # NVIDIA's libraries, where scripts/bootstrap has installed them; otherwise the machine's own.
  file(GLOB libraries "${RUNG_DEPS}/libtorch/nvidia/*/lib/*.so.*")
  install(FILES ${libraries} DESTINATION lib)
endif()
