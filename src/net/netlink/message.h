#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::net {

// Netlink messages, one after another in one buffer. Attributes are appended to the message begun
// last. Threading: one thread at a time.
class MessageWriter {
 public:
  // Starts a message of `type`; its length is set by the next Begin or by Finish.
  void Begin(uint16_t type, uint16_t flags, uint32_t sequence);
  template <class Header>
  void PutHeader(const Header& header) {
    Append(&header, sizeof(header));
  }

  void Put(uint16_t type, std::span<const uint8_t> value);
  void PutString(uint16_t type, std::string_view value);  // with the final NUL
  void PutU8(uint16_t type, uint8_t value) { PutRaw(type, value); }
  void PutU16(uint16_t type, uint16_t value) { PutRaw(type, value); }
  void PutU32(uint16_t type, uint32_t value) { PutRaw(type, value); }
  void PutBe16(uint16_t type, uint16_t value) { PutRaw(type, __builtin_bswap16(value)); }
  void PutBe32(uint16_t type, uint32_t value) { PutRaw(type, __builtin_bswap32(value)); }
  void PutBe64(uint16_t type, uint64_t value) { PutRaw(type, __builtin_bswap64(value)); }
  // A nested attribute: what `fill` appends is inside. At most 64 KiB.
  template <class Fill>
  void Nest(uint16_t type, Fill fill) {
    size_t start = OpenNest(type);
    fill();
    CloseNest(start);
  }
  size_t OpenNest(uint16_t type);
  void CloseNest(size_t start);

  std::span<const char> Finish();
  size_t size() const { return buffer_.size(); }
  void Clear();

 private:
  template <class T>
  void PutRaw(uint16_t type, T value) {
    Put(type, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
  }
  void Append(const void* data, size_t size);
  void CloseMessage();

  std::vector<char> buffer_;
  size_t message_ = 0;
  bool open_ = false;
};

// Calls `each` for the attributes in `payload`; malformed ones end the walk.
void ForEachAttribute(std::span<const char> payload,
                      const std::function<void(uint16_t type, std::span<const char> value)>& each);
// A fixed-size value read out of an attribute; 0 where it is too short.
template <class T>
T ReadAs(std::span<const char> value) {
  T out{};
  if (value.size() >= sizeof(T)) std::memcpy(&out, value.data(), sizeof(T));
  return out;
}

}  // namespace gantry::net
