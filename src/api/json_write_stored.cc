#include <google/protobuf/message.h>

#include <array>
#include <cstring>

#include "api/intstr/int_or_string.pb.h"
#include "api/json.h"
#include "api/json_forms.h"
#include "api/json_writer.h"
#include "api/meta/v1/time.pb.h"
#include "api/resource/quantity.pb.h"

namespace gantry::api {
namespace {

using Step = MessageSchema::Step;

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

WireType WireTypeOf(const Step& step) {
  if (step.field == nullptr || step.field->map) return kBytes;
  switch (step.field->type) {
    case ValueType::kBool:
    case ValueType::kInt32:
    case ValueType::kInt64:
      return kVarint;
    case ValueType::kDouble:
      return kFixed64;
    default:
      return kBytes;
  }
}

// Reads values one after another; false at what is no value.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool AtEnd() const { return at_ == end_; }
  const char* at() const { return at_; }

  bool Varint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool Fixed(size_t size, std::string_view* value) {
    if (static_cast<size_t>(end_ - at_) < size) return false;
    *value = {at_, size};
    at_ += size;
    return true;
  }
  bool Bytes(std::string_view* value) {
    uint64_t size = 0;
    return Varint(&size) && size <= static_cast<uint64_t>(end_ - at_) &&
           Fixed(static_cast<size_t>(size), value);
  }

 private:
  const char* at_;
  const char* end_;
};

int64_t AsInt(uint64_t varint, const FieldSchema& field) {
  return field.type == ValueType::kInt32 ? static_cast<int32_t>(varint)
                                         : static_cast<int64_t>(varint);
}

double AsDouble(std::string_view eight_bytes) {
  double value = 0;
  if (eight_bytes.size() == sizeof value) std::memcpy(&value, eight_bytes.data(), sizeof value);
  return value;
}

// Fields where they stand in a message's bytes. Bytes are taken as our encoder lays them out: the
// items of a list stand together, nothing that stands once stands twice, maps have no key twice.
// Where that is not so, and for the rare forms that are lists or schemas, `ok` becomes false, and
// what was written is of no use.
class StoredSource {
 public:
  using Ref = std::string_view;
  using Entries = std::vector<std::pair<std::string_view, std::string_view>>;
  using Writer = internal::JsonWriter<StoredSource>;

  bool ok() const { return ok_; }
  void Fail() { ok_ = false; }

  class Items {
   public:
    Items(std::string_view bytes, const FieldSchema& field) : reader_(bytes), field_(field) {}

    Ref Child() { return Text(); }
    std::string_view Text() {
      std::string_view value;
      if (Tag()) reader_.Bytes(&value);
      return value;
    }
    bool Bool() { return Number() != 0; }
    int64_t Int() { return AsInt(Number(), field_); }
    double Double() {
      std::string_view value;
      if (Tag()) reader_.Fixed(sizeof(double), &value);
      return AsDouble(value);
    }

   private:
    bool Tag() {
      uint64_t tag = 0;
      return reader_.Varint(&tag);
    }
    uint64_t Number() {
      uint64_t value = 0;
      if (Tag()) reader_.Varint(&value);
      return value;
    }

    Reader reader_;
    const FieldSchema& field_;
  };

  class Node {
   public:
    Node(StoredSource& source, std::string_view bytes, const MessageSchema& schema)
        : source_(source), bytes_(bytes), steps_(schema.steps()) {
      Clear();
      if (Scan(schema)) return;
      Clear();
      source_.Fail();
    }

    bool Has(const Step& step) const { return At(step).count > 0; }
    Ref Child(const Step& step) const { return Text(step); }
    std::string_view Text(const Step& step) const {
      const Place& place = At(step);
      return place.count > 0 ? std::string_view(place.value, place.size) : std::string_view();
    }
    bool Bool(const Step& step) const { return Number(step) != 0; }
    int64_t Int(const Step& step) const { return AsInt(Number(step), *step.field); }
    double Double(const Step& step) const { return AsDouble(Text(step)); }
    size_t Size(const Step& step) const { return At(step).count; }
    StoredSource::Items Items(const Step& step) const {
      const Place& place = At(step);
      return {bytes_.substr(place.begin, place.end - place.begin), *step.field};
    }
    void Entries(const Step& step, StoredSource::Entries* out) const {
      const size_t size = Size(step);
      out->reserve(size);
      StoredSource::Items items = Items(step);
      bool sorted = true;
      for (size_t i = 0; i < size; ++i) {
        auto& entry = out->emplace_back();
        if (!ReadEntry(items.Text(), &entry)) source_.Fail();
        sorted = sorted && (i == 0 || (*out)[i - 1].first < entry.first);
      }
      if (sorted) return;
      std::sort(out->begin(), out->end());
      auto same_key = [](const auto& a, const auto& b) { return a.first == b.first; };
      if (std::adjacent_find(out->begin(), out->end(), same_key) != out->end()) source_.Fail();
    }

   private:
    // Of one field: from the first tag to behind the last value, and the last value itself.
    struct Place {
      uint32_t count;
      uint32_t begin, end;
      uint32_t size;  // of the value
      const char* value;
      uint64_t number;
    };

    void Clear() {
      for (size_t i = 0; i < steps_.size(); ++i)
        places_[i].count = 0;
    }

    const Place& At(const Step& step) const {
      return places_[static_cast<size_t>(&step - steps_.data())];
    }
    uint64_t Number(const Step& step) const {
      const Place& place = At(step);
      return place.count > 0 ? place.number : 0;
    }

    bool Scan(const MessageSchema& schema) {
      Reader reader(bytes_);
      while (!reader.AtEnd()) {
        const auto begin = static_cast<uint32_t>(reader.at() - bytes_.data());
        uint64_t tag = 0;
        uint64_t number = 0;
        std::string_view value;
        if (!reader.Varint(&tag)) return false;
        const auto type = static_cast<WireType>(tag & 7);
        if (type == kVarint    ? !reader.Varint(&number)
            : type == kBytes   ? !reader.Bytes(&value)
            : type == kFixed64 ? !reader.Fixed(8, &value)
            : type == kFixed32 ? !reader.Fixed(4, &value)
                               : true) {
          return false;
        }
        const int index = schema.StepOf(tag >> 3);
        if (index < 0) continue;
        const Step& step = steps_[static_cast<size_t>(index)];
        if (type != WireTypeOf(step)) return false;
        Place& place = places_[static_cast<size_t>(index)];
        if (place.count == 0) {
          place.begin = begin;
        } else if (step.field == nullptr || !(step.field->list || step.field->map) ||
                   place.end != begin) {
          return false;
        }
        ++place.count;
        place.end = static_cast<uint32_t>(reader.at() - bytes_.data());
        place.value = value.data();
        place.size = static_cast<uint32_t>(value.size());
        place.number = number;
      }
      return true;
    }

    static bool ReadEntry(std::string_view bytes,
                          std::pair<std::string_view, std::string_view>* entry) {
      Reader reader(bytes);
      while (!reader.AtEnd()) {
        uint64_t tag = 0;
        std::string_view value;
        if (!reader.Varint(&tag) || !reader.Bytes(&value)) return false;
        if (tag != (1 << 3 | kBytes) && tag != (2 << 3 | kBytes)) return false;
        (tag >> 3 == 1 ? entry->first : entry->second) = value;
      }
      return true;
    }

    StoredSource& source_;
    const std::string_view bytes_;
    const std::span<const Step> steps_;
    std::array<Place, MessageSchema::kMaxFields> places_;
  };

  Ref ChildOf(std::string_view value) { return value; }
  std::string_view TextOf(std::string_view value) { return value; }
  bool IsZeroTime(Ref bytes) { return api::IsZeroTime(Decoded<meta::v1::Time>(bytes)); }

  void WriteForm(Ref bytes, const MessageSchema& schema, Writer& writer) {
    const JsonForm form = schema.form();
    std::string* out = &writer.out();
    switch (form) {
      case JsonForm::kTime:
        return api::WriteForm(form, Decoded<meta::v1::Time>(bytes), out);
      case JsonForm::kMicroTime:
        return api::WriteForm(form, Decoded<meta::v1::MicroTime>(bytes), out);
      case JsonForm::kDuration:
        return api::WriteForm(form, Decoded<meta::v1::Duration>(bytes), out);
      case JsonForm::kQuantity:
        return api::WriteForm(form, Decoded<resource::Quantity>(bytes), out);
      case JsonForm::kIntOrString:
        return api::WriteForm(form, Decoded<intstr::IntOrString>(bytes), out);
      case JsonForm::kRaw: {
        const Node node(*this, bytes, schema);
        for (const Step& step : schema.steps())
          if (step.field->type == ValueType::kBytes) return WriteRaw(node.Text(step), out);
        break;
      }
      default:
        break;
    }
    Fail();
  }

 private:
  template <class T>
  T Decoded(std::string_view bytes) {
    T message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) Fail();
    return message;
  }

  bool ok_ = true;
};

}  // namespace

bool WriteStoredJson(const KindInfo& kind, std::string_view raw, int64_t revision,
                     std::string* out) {
  const size_t before = out->size();
  StoredSource source;
  internal::JsonWriter(source, out)
      .WriteObject(kind, raw, SchemaOf(kind.prototype->GetDescriptor()), revision);
  if (!source.ok()) out->resize(before);
  return source.ok();
}

}  // namespace gantry::api
