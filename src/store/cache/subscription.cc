#include "store/cache/subscription.h"

#include <algorithm>
#include <utility>

namespace gantry::store {
namespace {

// Changes that a watcher may be behind before it is cut off.
constexpr size_t kBufferLimit = 8192;
// So many taken ones are kept before their room is given back.
constexpr size_t kItemsSwept = 2048;

bool Admits(const Selection& selection, const api::ObjectPtr& object) {
  if (!object) return false;
  if (!selection.ns.empty() && object->ns() != selection.ns) return false;
  if (!selection.name.empty() && object->name() != selection.name) return false;
  return !selection.matches || selection.matches(*object);
}

}  // namespace

std::optional<WatchItem> Subscription::View(const Selection& selection,
                                            const std::shared_ptr<const CacheEvent>& event) {
  const bool deleted = event->type == CacheEvent::Type::kDeleted;
  const bool is = !deleted && Admits(selection, event->object);
  const bool was = Admits(selection, event->previous);
  if (!is && !was) return std::nullopt;
  WatchItem item;
  item.type = !is   ? WatchItem::Type::kDeleted
              : was ? WatchItem::Type::kModified
                    : WatchItem::Type::kAdded;
  item.revision = event->revision;
  item.object = is || deleted ? event->object : event->previous;
  item.event = event;
  return item;
}

void Subscription::Begin(std::vector<WatchItem> items, int64_t revision) {
  absl::MutexLock lock(&mutex_);
  first_items_ = items.size();
  items_ = std::move(items);
  begin_revision_ = revision;
  taken_revision_ = revision;
}

void Subscription::Offer(const std::shared_ptr<const CacheEvent>& event) {
  std::optional<WatchItem> item = View(selection_, event);
  if (!item) return;
  absl::MutexLock lock(&mutex_);
  if (!end_.ok() || event->revision <= begin_revision_) return;
  const bool waits = items_.empty();
  if (items_.size() - head_ - first_items_ >= kBufferLimit) {
    end_ = Status(Code::kExpired, "the watcher was too slow");
    Clear();
  } else {
    items_.push_back(*std::move(item));
  }
  if (waits && waker_) waker_->Wake();
}

void Subscription::End(Status status) {
  absl::MutexLock lock(&mutex_);
  if (end_.ok()) end_ = std::move(status);
  Clear();
  if (waker_) waker_->Wake();
}

void Subscription::SetWaker(std::shared_ptr<Waker> waker) {
  absl::MutexLock lock(&mutex_);
  waker_ = std::move(waker);
}

void Subscription::Progress() {
  absl::MutexLock lock(&mutex_);
  progress_ = true;
  if (waker_) waker_->Wake();
}

bool Subscription::TakeProgress() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(progress_, false);
}

void Subscription::Clear() {
  items_ = std::vector<WatchItem>();
  head_ = 0;
  first_items_ = 0;
}

Result<bool> Subscription::Take(size_t limit, std::vector<WatchItem>* items) {
  absl::MutexLock lock(&mutex_);
  if (!end_.ok()) return end_;
  if (head_ == items_.size()) return false;
  const size_t count = std::min(items_.size() - head_, limit);
  const auto begin = items_.begin() + static_cast<ptrdiff_t>(head_);
  items->insert(items->end(), std::make_move_iterator(begin),
                std::make_move_iterator(begin + static_cast<ptrdiff_t>(count)));
  head_ += count;
  first_items_ -= std::min(first_items_, count);
  taken_revision_ = std::max(taken_revision_, items->back().revision);
  if (head_ == items_.size()) {
    Clear();
    return false;
  }
  if (head_ > kItemsSwept) {
    items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(std::exchange(head_, 0)));
  }
  return true;
}

int64_t Subscription::Revision(int64_t dispatched) const {
  absl::MutexLock lock(&mutex_);
  if (head_ < items_.size()) {
    // Of what is still in the buffer nothing has been seen; what it began with stands at one
    // revision.
    return first_items_ > 0 ? 0 : items_[head_].revision - 1;
  }
  return std::max(taken_revision_, dispatched);
}

}  // namespace gantry::store
