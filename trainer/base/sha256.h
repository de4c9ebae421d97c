// SHA-256 of bytes and files, by OpenSSL's libcrypto.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace rung {

class Sha256 {
 public:
  Sha256();
  void update(const void* data, size_t num_bytes);
  std::string hex_digest();  // 64 lower-case hexadecimal digits; ends the computation

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_of_text(std::string_view text);

// Throws Error kDamaged where `path` cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace rung
