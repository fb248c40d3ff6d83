#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::apiserver::internal {

// Bytes on their way out, owned or shared, in order. Holds no memory while empty. Threading:
// strand.
class OutQueue {
 public:
  void Append(std::string bytes);
  void Append(std::shared_ptr<const std::string> bytes);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The next bytes. Small pieces are joined first, so that one write takes many of them.
  std::string_view Peek();
  // The next bytes of the first piece alone.
  std::string_view Front() const;
  void Consume(size_t count);
  void Clear();

 private:
  struct Piece {
    std::string own;
    std::shared_ptr<const std::string> shared;
    std::string_view view() const {
      return shared ? std::string_view(*shared) : std::string_view(own);
    }
  };
  void Join();

  std::vector<Piece> pieces_;
  size_t first_ = 0;   // index of the first piece that is left
  size_t offset_ = 0;  // consumed of that piece
  size_t size_ = 0;
};

}  // namespace gantry::apiserver::internal
