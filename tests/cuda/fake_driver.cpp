// A libcuda.so.1 without a GPU behind it, for NVIDIA's own runtime library: it has a version
// (RUNG_FAKE_DRIVER_VERSION) and refuses to start with a code (RUNG_FAKE_DRIVER_REFUSAL).
#include <cstdlib>
#include <cstring>

namespace {

int number_of(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

constexpr int kNotSupported = 801;  // CUDA_ERROR_NOT_SUPPORTED
int not_supported() { return kNotSupported; }

}  // namespace

extern "C" {

int cuDriverGetVersion(int* version) {
  *version = number_of("RUNG_FAKE_DRIVER_VERSION", 13000);
  return 0;
}

int cuInit(unsigned int) { return number_of("RUNG_FAKE_DRIVER_REFUSAL", 0); }

int cuGetExportTable(const void**, const void*) { return kNotSupported; }

// Asked by LibTorch when it tidies up: no context.
int cuDevicePrimaryCtxGetState(int, unsigned int*, int* active) {
  *active = 0;
  return 0;
}

// Asked before every matrix product: the context, which is not looked at.
int cuCtxGetCurrent(void** context) {
  static int something = 0;
  *context = &something;
  return 0;
}

int cuGetProcAddress_v2(const char* name, void** function, int, unsigned long long, int* status) {
  const auto is = [name](const char* other) { return std::strcmp(name, other) == 0; };
  *function = reinterpret_cast<void*>(&not_supported);
  if (is("cuDriverGetVersion")) *function = reinterpret_cast<void*>(&cuDriverGetVersion);
  if (is("cuInit")) *function = reinterpret_cast<void*>(&cuInit);
  if (is("cuGetExportTable")) *function = reinterpret_cast<void*>(&cuGetExportTable);
  if (is("cuGetProcAddress")) *function = reinterpret_cast<void*>(&cuGetProcAddress_v2);
  if (status != nullptr) *status = 0;
  return 0;
}

}  // extern "C"
