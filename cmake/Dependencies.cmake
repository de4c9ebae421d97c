# Third-party libraries as imported targets. find_package(Torch) is not used: without a CUDA toolkit it fails.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
pkg_check_modules(oniguruma REQUIRED IMPORTED_TARGET oniguruma)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)

set(RUNG_TORCH_DIR "${RUNG_DEPS}/libtorch/torch")
if(NOT EXISTS "${RUNG_TORCH_DIR}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "LibTorch is not in ${RUNG_TORCH_DIR}: run scripts/bootstrap first")
endif()

add_library(c10 SHARED IMPORTED)
set_target_properties(c10 PROPERTIES IMPORTED_LOCATION "${RUNG_TORCH_DIR}/lib/libc10.so")
add_library(torch_cpu SHARED IMPORTED)
set_target_properties(torch_cpu PROPERTIES
  IMPORTED_LOCATION "${RUNG_TORCH_DIR}/lib/libtorch_cpu.so"
  INTERFACE_INCLUDE_DIRECTORIES "${RUNG_TORCH_DIR}/include;${RUNG_TORCH_DIR}/include/torch/csrc/api/include"
  # LibTorch's include folder has an fmt of its own, newer than the system's library: it shadows the system's headers
  # in every file that sees LibTorch, so it is used header-only there.
  INTERFACE_COMPILE_DEFINITIONS "USE_DISTRIBUTED;FMT_HEADER_ONLY=1"
  INTERFACE_LINK_LIBRARIES c10)

# OpenMP with LibTorch's own runtime: two of them in one process would fight over the cores.
add_library(rung_openmp INTERFACE)
target_compile_options(rung_openmp INTERFACE -fopenmp)
target_link_libraries(rung_openmp INTERFACE "${RUNG_TORCH_DIR}/lib/libgomp.so.1")

# Not the system's (scripts/bootstrap says why). It brings a protobuf of its own; hidden, so that no other library in the
# process takes that for its own.
set(sentencepiece_library "${RUNG_DEPS}/sentencepiece/lib/libsentencepiece.a")
if(NOT EXISTS "${sentencepiece_library}")
  message(FATAL_ERROR "SentencePiece is not in ${RUNG_DEPS}/sentencepiece: run scripts/bootstrap first")
endif()
add_library(sentencepiece STATIC IMPORTED)
set_target_properties(sentencepiece PROPERTIES
  IMPORTED_LOCATION "${sentencepiece_library}"
  INTERFACE_INCLUDE_DIRECTORIES "${RUNG_DEPS}/sentencepiece/include"
  INTERFACE_LINK_LIBRARIES Threads::Threads
  INTERFACE_LINK_OPTIONS "LINKER:--exclude-libs,libsentencepiece.a")
