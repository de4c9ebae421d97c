// The device of a run, and how much of it the run may use.
#pragma once

#include <cstdint>
#include <string>

#include "base/run_config.h"
#include "memory/device.h"

namespace rung::training {

struct Machine {
  memory::Device& device;
  std::string key;           // what `device: auto` came to: "cpu", "cuda:0"
  std::string why_not_cuda;  // one line, where auto ended on the CPU
  int64_t limit = 0;         // bytes: of tensors on a CPU, of the whole process on a GPU

  // Bytes of `limit` that are left for tensors: on a GPU the context and the libraries' own are
  // taken off.
  int64_t tensor_limit() const;
  // Bytes of tensor_limit that no tensor has taken.
  int64_t memory_left() const;
  // Bytes of the host's memory that a run on a GPU may keep tensors in; 0 on a CPU.
  int64_t host_limit() const;
};

// Bytes that a run may take of `device`: memory_limit, or what is free less a reserve. Throws Error
// kDoesNotFit where memory_limit is above what is free, or leaves nothing for tensors.
int64_t limit_on(const memory::Device& device, const RunConfig& config);

// From here on sums on a GPU have a fixed order, in ATen and in cuBLAS, which reads its variable
// when the device is opened: to be called before that. With warnings in place of errors ATen would
// leave attention's sums as they are. Unset memory stays unset: filling it, ATen's default here,
// costs time and changes nothing.
void make_deterministic();

// Opens the device, installs the memory limit of the configuration (or what is free) and the number
// of threads. Throws Error as ops::open_device and limit_on do.
Machine open_machine(const RunConfig& config);

// `config` with the device that `machine` is.
RunConfig with_device(RunConfig config, const Machine& machine);

// The device that a resolved configuration names; "auto" stands for the CPU.
c10::Device device_of(const RunConfig& config);

}  // namespace rung::training
