#include "api/json_forms.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstring>

#include "api/duration.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/json_text.h"
#include "api/meta/v1/time.pb.h"
#include "api/quantity.h"
#include "api/resource/quantity.pb.h"
#include "api/rfc3339.h"
#include "base/check.h"

namespace gantry::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor* RawField(const Message& message) {
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i)
    if (descriptor->field(i)->type() == FieldDescriptor::TYPE_BYTES) return descriptor->field(i);
  GANTRY_CHECK(false, descriptor->full_name());
  return nullptr;
}

// True for text that is a quantity in its canonical form beyond doubt: a short number with a suffix
// that no larger suffix could shorten.
bool IsPlainlyCanonical(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9')
    ++digits;
  if (digits == 0 || digits > 3 || text[0] == '0') return false;
  const std::string_view suffix = text.substr(digits);
  return suffix.empty() || suffix == "m" || suffix == "Mi" || suffix == "Gi" || suffix == "Ki";
}

// True where no byte can be white space or stand for what is escaped, as in most managed fields.
bool IsPlainlyCompact(std::string_view json) {
  constexpr uint64_t kOnes = 0x0101010101010101u, kHighs = 0x8080808080808080u;
  uint64_t found = 0;
  size_t i = 0;
  for (; i + 8 <= json.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, json.data() + i, 8);
    auto has_zero = [](uint64_t w) { return (w - kOnes) & ~w; };
    const uint64_t less_or_more = (word | kOnes * ('<' ^ '>')) ^ kOnes * '>';
    const uint64_t space_or_less = (word - kOnes * (' ' + 1)) & ~word;
    found |= has_zero(less_or_more) | has_zero(word ^ kOnes * '&') | space_or_less | word;
  }
  if (found & kHighs) return false;
  for (; i < json.size(); ++i) {
    const auto c = static_cast<unsigned char>(json[i]);
    if (c <= ' ' || c >= 0x80 || c == '<' || c == '>' || c == '&') return false;
  }
  return true;
}

template <class T>
Status ReadTime(std::string_view text, TimeLayout layout, Message* out) {
  GANTRY_ASSIGN(UnixTime time, ParseRfc3339(text, layout));
  auto* message = static_cast<T*>(out);
  message->Clear();
  if (time.seconds == kZeroTimeSeconds && time.nanos == 0) return {};
  message->set_seconds(time.seconds);
  message->set_nanos(layout == TimeLayout::kTime ? 0 : time.nanos);
  return {};
}

template <class T>
void WriteTime(const Message& message, TimeLayout layout, std::string* out) {
  const auto& time = static_cast<const T&>(message);
  out->push_back('"');
  AppendRfc3339({time.seconds(), time.nanos()}, layout, out);
  out->push_back('"');
}

// The amount itself, of either of the types that hold one.
std::string* AmountOf(Message* quantity) {
  return quantity->GetDescriptor() == resource::Quantity::descriptor()
             ? static_cast<resource::Quantity*>(quantity)->mutable_string()
             : static_cast<resource::QuantityValue*>(quantity)->mutable_string();
}

Status ReadQuantity(std::string_view text, Message* out) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  if (IsPlainlyCanonical(text)) {
    *AmountOf(out) = text;
    return {};
  }
  GANTRY_ASSIGN(Quantity parsed, Quantity::Parse(text));
  *AmountOf(out) = parsed.ToString();
  return {};
}

}  // namespace

Status ReadTextForm(JsonForm form, std::string_view text, Message* out) {
  switch (form) {
    case JsonForm::kTime:
      return ReadTime<meta::v1::Time>(text, TimeLayout::kTime, out);
    case JsonForm::kMicroTime:
      return ReadTime<meta::v1::MicroTime>(text, TimeLayout::kMicroTime, out);
    case JsonForm::kDuration: {
      GANTRY_ASSIGN(Duration duration, ParseGoDuration(text));
      static_cast<meta::v1::Duration*>(out)->set_duration(duration.count());
      return {};
    }
    case JsonForm::kQuantity:
      return ReadQuantity(text, out);
    case JsonForm::kIntOrString: {
      auto* value = static_cast<intstr::IntOrString*>(out);
      value->set_type(1);
      value->clear_int_val();
      value->set_str_val(std::string(text));
      return {};
    }
    default:
      break;
  }
  return InternalError("not a textual form");
}

void SetInt(int32_t value, Message* int_or_string) {
  auto* out = static_cast<intstr::IntOrString*>(int_or_string);
  out->set_type(0);
  out->set_int_val(value);
  out->clear_str_val();
}

void SetRaw(std::string_view json, Message* raw) {
  raw->GetReflection()->SetString(raw, RawField(*raw), std::string(json));
}

const std::string& RawOf(const Message& raw) {
  static const std::string* const kNone = new std::string;
  const FieldDescriptor* field = RawField(raw);
  if (!raw.GetReflection()->HasField(raw, field)) return *kNone;
  std::string* no_copy_needed = nullptr;  // strings are held as std::string
  return raw.GetReflection()->GetStringReference(raw, field, no_copy_needed);
}

void WriteRaw(std::string_view raw, std::string* out) {
  if (raw.empty()) {
    out->append("null");
  } else {
    AppendCompact(raw, out);
  }
}

bool IsZeroTime(const Message& time) {
  if (time.GetDescriptor() == meta::v1::MicroTime::descriptor()) {
    const auto& micro = static_cast<const meta::v1::MicroTime&>(time);
    return !micro.has_seconds() && !micro.has_nanos();
  }
  const auto& seconds = static_cast<const meta::v1::Time&>(time);
  return !seconds.has_seconds() && !seconds.has_nanos();
}

void WriteForm(JsonForm form, const Message& message, std::string* out) {
  switch (form) {
    case JsonForm::kTime:
    case JsonForm::kMicroTime:
      if (IsZeroTime(message)) {
        out->append("null");
        return;
      }
      if (form == JsonForm::kTime) {
        WriteTime<meta::v1::Time>(message, TimeLayout::kTime, out);
      } else {
        WriteTime<meta::v1::MicroTime>(message, TimeLayout::kMicroTime, out);
      }
      return;
    case JsonForm::kDuration:
      out->push_back('"');
      out->append(
          FormatGoDuration(Duration(static_cast<const meta::v1::Duration&>(message).duration())));
      out->push_back('"');
      return;
    case JsonForm::kQuantity: {
      const auto* descriptor = message.GetDescriptor();
      const std::string& text = descriptor == resource::Quantity::descriptor()
                                    ? static_cast<const resource::Quantity&>(message).string()
                                    : static_cast<const resource::QuantityValue&>(message).string();
      if (text.empty()) {
        out->append("\"0\"");
      } else {
        AppendJsonString(text, out);
      }
      return;
    }
    case JsonForm::kIntOrString: {
      const auto& value = static_cast<const intstr::IntOrString&>(message);
      if (value.type() == 1) {
        AppendJsonString(value.str_val(), out);
      } else {
        AppendJsonInt(value.int_val(), out);
      }
      return;
    }
    case JsonForm::kRaw:
      return WriteRaw(RawOf(message), out);
    default:
      break;
  }
  GANTRY_CHECK(false, "not a textual form");
}

void AppendCompact(std::string_view json, std::string* out) {
  if (IsPlainlyCompact(json)) {
    out->append(json);
    return;
  }
  bool in_string = false;
  size_t from = 0;
  auto flush = [&](size_t to) { out->append(json, from, to - from); };
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '<' || c == '>' || c == '&') {
      flush(i);
      out->append(c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : "\\u0026");
      from = i + 1;
    } else if (static_cast<unsigned char>(c) == 0xE2 && internal::IsSeparator(json.substr(i))) {
      flush(i);
      out->append(json[i + 2] & 1 ? "\\u2029" : "\\u2028");
      from = i + 3;
      i += 2;
    } else if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      flush(i);
      from = i + 1;
    }
  }
  flush(json.size());
}

}  // namespace gantry::api
