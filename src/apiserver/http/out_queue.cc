#include "apiserver/http/out_queue.h"

#include <algorithm>
#include <utility>

namespace gantry::apiserver::internal {
namespace {
// A TLS record's worth.
constexpr size_t kJoinBytes = 16 * 1024;
}  // namespace

void OutQueue::Append(std::string bytes) {
  if (bytes.empty()) return;
  size_ += bytes.size();
  pieces_.push_back(Piece{std::move(bytes), nullptr});
}

void OutQueue::Append(std::shared_ptr<const std::string> bytes) {
  if (!bytes || bytes->empty()) return;
  size_ += bytes->size();
  pieces_.push_back(Piece{std::string(), std::move(bytes)});
}

std::string_view OutQueue::Front() const {
  if (size_ == 0) return {};
  return pieces_[first_].view().substr(offset_);
}

void OutQueue::Join() {
  std::string joined;
  size_t last = first_;
  while (last < pieces_.size() && joined.size() < kJoinBytes) {
    const std::string_view view = pieces_[last].view().substr(last == first_ ? offset_ : 0);
    // A piece that fills records of its own is not worth the copy.
    if (last > first_ && view.size() >= 4 * kJoinBytes) break;
    if (joined.empty()) joined.reserve(std::min(size_, 2 * kJoinBytes));
    joined.append(view);
    pieces_[last] = Piece();
    ++last;
  }
  first_ = last - 1;
  offset_ = 0;
  pieces_[first_].own = std::move(joined);
}

std::string_view OutQueue::Peek() {
  if (size_ == 0) return {};
  if (first_ + 1 < pieces_.size() && Front().size() < kJoinBytes) Join();
  return Front();
}

void OutQueue::Consume(size_t count) {
  size_ -= count;
  if (size_ == 0) return Clear();
  while (count > 0) {
    const size_t left = pieces_[first_].view().size() - offset_;
    if (count < left) {
      offset_ += count;
      return;
    }
    count -= left;
    pieces_[first_] = Piece();
    ++first_;
    offset_ = 0;
  }
  if (first_ > 64 && first_ * 2 > pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
}

void OutQueue::Clear() {
  if (pieces_.capacity() > 8) {
    std::vector<Piece>().swap(pieces_);
  } else {
    pieces_.clear();
  }
  first_ = offset_ = size_ = 0;
}

}  // namespace gantry::apiserver::internal
