// Marks small functions that kernels call as well as the host. A header that both sides include can
// say so in no other way; nothing else is decided by which compiler reads it.
#pragma once

#ifdef __CUDACC__
#define RUNG_HOST_DEVICE __host__ __device__
#else
#define RUNG_HOST_DEVICE
#endif
