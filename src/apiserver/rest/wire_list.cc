#include "apiserver/rest/wire_list.h"

#include "api/envelope.h"
#include "api/meta/v1/object_meta.pb.h"

namespace gantry::apiserver {
namespace {

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

// Field numbers below 16, of wire type 2.
void AppendField(int number, std::string_view bytes, std::string* out) {
  out->push_back(static_cast<char>(number << 3 | 2));
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

}  // namespace

std::string WireList(const api::KindInfo& kind, const ListResult& list) {
  api::meta::v1::ListMeta meta;
  meta.set_resource_version(std::to_string(list.revision));
  if (!list.continue_token.empty()) meta.set_continue_(list.continue_token);
  if (list.remaining.has_value()) meta.set_remaining_item_count(*list.remaining);

  struct Item {
    std::shared_ptr<const std::string> stored;
    std::string_view raw;
    std::string suffix;
  };
  std::vector<Item> items;
  items.reserve(list.items.size());
  std::string head;
  AppendField(1, meta.SerializeAsString(), &head);
  size_t size = head.size();
  for (const api::ObjectPtr& object : list.items) {
    Item item;
    item.stored = object->stored();
    Result<api::Envelope> envelope = api::OpenEnvelope(*item.stored);
    if (!envelope.ok()) continue;
    item.raw = envelope->raw;
    item.suffix = api::RevisionSuffix(object->revision());
    size_t bytes = item.raw.size() + item.suffix.size();
    size += 1 + VarintSize(bytes) + bytes;
    items.push_back(std::move(item));
  }

  std::string type;
  AppendField(1, kind.ApiVersion(), &type);
  AppendField(2, kind.list_kind, &type);
  std::string out(api::kEnvelopeMagic);
  out.reserve(size + type.size() + 32);
  AppendField(1, type, &out);
  out.push_back(2 << 3 | 2);
  AppendVarint(size, &out);
  out.append(head);
  for (const Item& item : items) {
    out.push_back(2 << 3 | 2);
    AppendVarint(item.raw.size() + item.suffix.size(), &out);
    out.append(item.raw);
    out.append(item.suffix);
  }
  AppendField(3, "", &out);
  AppendField(4, "", &out);
  return out;
}

std::string WireEvent(std::string_view type, std::string_view envelope) {
  std::string raw;
  AppendField(1, envelope, &raw);  // RawExtension.raw
  std::string event;
  AppendField(1, type, &event);
  AppendField(2, raw, &event);
  std::string out;
  out.reserve(event.size() + 4);
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(event.size() >> shift & 0xff));
  out.append(event);
  return out;
}

}  // namespace gantry::apiserver
