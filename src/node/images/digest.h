#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace gantry::node {

// SHA-256 of a stream. Threading: one thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(const void* bytes, size_t size);
  std::string Hex();  // ends the stream

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Hex(std::string_view bytes);

}  // namespace gantry::node
