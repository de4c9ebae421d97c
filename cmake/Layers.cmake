# One static library a folder. The order is the order of includes (scripts/check_layers holds the code to it).
set(RUNG_WARNINGS -Wall -Wextra -Wshadow -Wno-interference-size -Wno-missing-field-initializers
  -Werror=return-type)

# rung_layer(NAME FOLDER LIBRARIES...): every .cpp of FOLDER, recursively; none can be forgotten.
function(rung_layer name folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.cpp")
  if(sources)
    add_library(rung_${name} STATIC ${sources})
    target_include_directories(rung_${name} PUBLIC "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/trainer")
    target_compile_options(rung_${name} PRIVATE ${RUNG_WARNINGS})
    target_link_libraries(rung_${name} PUBLIC ${ARGN})
  else()
    add_library(rung_${name} INTERFACE)
    target_link_libraries(rung_${name} INTERFACE ${ARGN})
  endif()
endfunction()

rung_layer(kernels kernels rung_openmp)
get_target_property(kernels_type rung_kernels TYPE)
if(NOT kernels_type STREQUAL INTERFACE_LIBRARY)
  # -O3 vectorises the row loops; no errno or trapping math, so that it may.
  target_compile_options(rung_kernels PRIVATE -O3 -fno-math-errno -fno-trapping-math)
endif()
rung_layer(base trainer/base yaml-cpp nlohmann_json::nlohmann_json fmt::fmt OpenSSL::Crypto Threads::Threads)
rung_layer(memory trainer/memory rung_base torch_cpu)
rung_layer(job trainer/job rung_base)
rung_layer(format trainer/format rung_base)
rung_layer(text trainer/text rung_base PkgConfig::oniguruma PkgConfig::utf8proc)
target_link_libraries(rung_text PRIVATE sentencepiece)  # its header is nobody else's
rung_layer(ops trainer/ops rung_kernels rung_memory rung_base torch_cpu rung_openmp)
rung_layer(data trainer/data rung_text rung_format rung_base)
rung_layer(model trainer/model rung_ops rung_format rung_text rung_data)
rung_layer(step trainer/step rung_model rung_data)
rung_layer(fit trainer/fit rung_step)
rung_layer(training trainer/training rung_fit rung_job)
rung_layer(monitor trainer/monitor rung_base)
rung_layer(command trainer/command rung_training rung_monitor)
