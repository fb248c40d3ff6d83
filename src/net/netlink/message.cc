#include "net/netlink/message.h"

#include <linux/netlink.h>

namespace gantry::net {

void MessageWriter::Append(const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  buffer_.insert(buffer_.end(), bytes, bytes + size);
  buffer_.resize(NLMSG_ALIGN(buffer_.size()));
}

void MessageWriter::CloseMessage() {
  if (!open_) return;
  uint32_t length = static_cast<uint32_t>(buffer_.size() - message_);
  std::memcpy(buffer_.data() + message_, &length, sizeof(length));
  open_ = false;
}

void MessageWriter::Begin(uint16_t type, uint16_t flags, uint32_t sequence) {
  CloseMessage();
  message_ = buffer_.size();
  open_ = true;
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  Append(&header, sizeof(header));
}

void MessageWriter::Put(uint16_t type, std::span<const uint8_t> value) {
  nlattr attribute{};
  attribute.nla_type = type;
  attribute.nla_len = static_cast<uint16_t>(sizeof(attribute) + value.size());
  Append(&attribute, sizeof(attribute));
  Append(value.data(), value.size());
}

void MessageWriter::PutString(uint16_t type, std::string_view value) {
  std::string terminated(value);
  Put(type, {reinterpret_cast<const uint8_t*>(terminated.c_str()), terminated.size() + 1});
}

size_t MessageWriter::OpenNest(uint16_t type) {
  size_t start = buffer_.size();
  nlattr attribute{};
  attribute.nla_type = static_cast<uint16_t>(type | NLA_F_NESTED);
  Append(&attribute, sizeof(attribute));
  return start;
}

void MessageWriter::CloseNest(size_t start) {
  uint16_t length = static_cast<uint16_t>(buffer_.size() - start);
  std::memcpy(buffer_.data() + start, &length, sizeof(length));
}

std::span<const char> MessageWriter::Finish() {
  CloseMessage();
  return buffer_;
}

void MessageWriter::Clear() {
  buffer_.clear();
  open_ = false;
}

void ForEachAttribute(std::span<const char> payload,
                      const std::function<void(uint16_t type, std::span<const char> value)>& each) {
  while (payload.size() >= sizeof(nlattr)) {
    nlattr attribute = ReadAs<nlattr>(payload);
    if (attribute.nla_len < sizeof(nlattr) || attribute.nla_len > payload.size()) return;
    each(attribute.nla_type & NLA_TYPE_MASK,
         payload.subspan(sizeof(nlattr), attribute.nla_len - sizeof(nlattr)));
    payload = payload.subspan(std::min<size_t>(payload.size(), NLA_ALIGN(attribute.nla_len)));
  }
}

}  // namespace gantry::net
