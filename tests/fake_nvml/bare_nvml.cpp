// A libnvidia-ml.so.1 of a driver that lacks most functions: one GPU and its memory.
extern "C" {

struct Memory {
  unsigned long long total, free, used;
};

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = 1;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int, void** gpu) {
  static int only = 0;
  *gpu = &only;
  return 0;
}
int nvmlDeviceGetMemoryInfo(void*, Memory* memory) {
  *memory = {.total = 1000, .free = 400, .used = 600};
  return 0;
}

}  // extern "C"
