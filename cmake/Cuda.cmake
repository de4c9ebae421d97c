# The CUDA kernels as a plugin, librung_cuda.so, where nvcc is; and for tests, everywhere, the same
# .cu files as C++ on the emulated device.
file(GLOB RUNG_CUDA_SOURCES CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/kernels/*.cu")

# CUDA's own headers for 16-bit types: from the wheel that scripts/bootstrap unpacks, so that all
# machines compile the same text. A toolkit's are the second choice.
find_path(RUNG_CUDA_INCLUDE cuda_bf16.h
  PATHS "${RUNG_DEPS}/cuda/include" /usr/local/cuda/include NO_DEFAULT_PATH)

# rung_add_emulated_kernels(NAME): a static library for tests. Here "kernels/launch.h" is the
# emulation's, which comes first among the include folders; plugin.cu has no kernels.
function(rung_add_emulated_kernels name)
  if(NOT RUNG_CUDA_INCLUDE)
    message(FATAL_ERROR "cuda_bf16.h is not in ${RUNG_DEPS}/cuda/include: run scripts/bootstrap, "
      "or configure with -DRUNG_BUILD_TESTS=OFF")
  endif()
  set(sources ${RUNG_CUDA_SOURCES})
  list(FILTER sources EXCLUDE REGEX "/plugin\\.cu$")
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CXX)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} BEFORE PUBLIC
    "${CMAKE_SOURCE_DIR}/tests/support/emulation/include")
  target_include_directories(${name} SYSTEM PUBLIC "${RUNG_CUDA_INCLUDE}")
  # Vector loads reinterpret pointers, as nvcc allows; #pragma unroll is not g++'s. Accesses that
  # are not aligned trap, as they do on a GPU.
  target_compile_options(${name} PUBLIC -fno-strict-aliasing
    -fsanitize=alignment -fsanitize-undefined-trap-on-error PRIVATE
    ${RUNG_WARNINGS} -Wno-unknown-pragmas)
  target_link_libraries(${name} PUBLIC rung_test_support)
endfunction()

find_program(RUNG_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
if(NOT RUNG_NVCC)
  message(STATUS "no nvcc: CPU build")
  return()
endif()

# Machine code for these; code of the last one also as PTX, which later GPUs translate.
set(RUNG_CUDA_ARCHITECTURES 80 86 89 90 100 120 CACHE STRING "compute capabilities, ascending")
execute_process(COMMAND "${RUNG_NVCC}" --version OUTPUT_VARIABLE nvcc_version)
string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" nvcc_version "${nvcc_version}")
set(RUNG_CUDA_BUILD "CUDA ${CMAKE_MATCH_1} kernels for")
set(gencode "")
foreach(architecture ${RUNG_CUDA_ARCHITECTURES})
  list(APPEND gencode -gencode "arch=compute_${architecture},code=sm_${architecture}")
  string(APPEND RUNG_CUDA_BUILD " sm_${architecture}")
endforeach()
list(GET RUNG_CUDA_ARCHITECTURES -1 last)
list(APPEND gencode -gencode "arch=compute_${last},code=compute_${last}")

# A kernel that spills registers or keeps something in local memory is slow and does not compile.
#
# Custom commands instead of CMake's CUDA language, whose compiler detection compiles for a GPU of
# its own choice and fails on a machine where the toolkit has no such target.
set(RUNG_CUDA_OBJECTS "")
foreach(source ${RUNG_CUDA_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  set(object "${CMAKE_BINARY_DIR}/cuda/${name}.o")
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_BINARY_DIR}/cuda"
    COMMAND ${RUNG_NVCC} -std=c++20 -O3 -Werror all-warnings ${gencode} -Xcompiler -fPIC
      -Xptxas -warn-spills,-warn-lmem-usage,-Werror
      -ccbin ${CMAKE_CXX_COMPILER} -I "${CMAKE_SOURCE_DIR}" -I "${CMAKE_SOURCE_DIR}/kernels"
      -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "nvcc ${name}.cu"
    VERBATIM)
  list(APPEND RUNG_CUDA_OBJECTS ${object})
endforeach()

# The kernels, and what knows both them and LibTorch's CUDA part. The libraries that this part needs
# in turn (cuBLAS, cuDNN, ...: 2 GB) are found when the plugin is loaded; a build does without them.
set(RUNG_TORCH_CUDA "${RUNG_TORCH_DIR}/lib/libtorch_cuda.so")
if(NOT EXISTS "${RUNG_TORCH_CUDA}")
  message(FATAL_ERROR "${RUNG_TORCH_CUDA} is absent: run scripts/bootstrap where nvcc is on the PATH")
endif()
get_filename_component(RUNG_CUDA_BIN "${RUNG_NVCC}" REALPATH)
get_filename_component(RUNG_CUDA_HOME "${RUNG_CUDA_BIN}/../.." ABSOLUTE)
file(GLOB RUNG_PLUGIN_SOURCES CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/trainer/cuda/*.cpp")
# NVML's wrapper has no state and is in the plugin as well: not every program that loads it has one.
list(APPEND RUNG_PLUGIN_SOURCES "${CMAKE_SOURCE_DIR}/trainer/base/nvml.cpp")
add_library(rung_cuda SHARED ${RUNG_PLUGIN_SOURCES} ${RUNG_CUDA_OBJECTS})
target_include_directories(rung_cuda PRIVATE "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/trainer")
target_include_directories(rung_cuda SYSTEM PRIVATE "${RUNG_CUDA_HOME}/include")
target_compile_options(rung_cuda PRIVATE ${RUNG_WARNINGS})
# What the program holds already (counters, errors, views of weights) is taken from it, not linked
# twice: a second counter would count nothing.
target_link_libraries(rung_cuda PRIVATE $<COMPILE_ONLY:rung_ops>
  "${RUNG_TORCH_CUDA}" "${RUNG_TORCH_DIR}/lib/libc10_cuda.so" c10
  "${RUNG_TORCH_DIR}/lib/libcudart.so.13")
target_link_options(rung_cuda PRIVATE -Wl,--no-as-needed)
set_target_properties(rung_cuda PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"
  BUILD_RPATH "${RUNG_TORCH_DIR}/lib"
  INSTALL_RPATH "$ORIGIN")
