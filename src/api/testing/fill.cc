#include "api/testing/fill.h"

#include <google/protobuf/descriptor.h>

#include <array>
#include <map>
#include <string>

#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/intstr/int_or_string.pb.h"
#include "api/json_forms.h"
#include "api/meta/v1/time.pb.h"
#include "api/schema.h"

namespace gantry::api::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class Filler {
 public:
  explicit Filler(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

  void Fill(Message* message, int depth) {
    const MessageSchema& schema = SchemaOf(message->GetDescriptor());
    if (schema.form() != JsonForm::kObject) return FillForm(message, schema, depth);
    if (OnTheWay(message) > 0) return;  // a type that holds itself: once is enough
    ++open_[message->GetDescriptor()];
    for (const MessageSchema::Step& step : schema.steps()) {
      if (step.field == nullptr) {
        Fill(message->GetReflection()->MutableMessage(message, step.inlined), depth - 1);
      } else {
        FillField(message, *step.field, depth);
      }
    }
    --open_[message->GetDescriptor()];
  }

 private:
  uint64_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  int OnTheWay(const Message* message) { return open_[message->GetDescriptor()]; }

  std::string Text() {
    static constexpr std::array<const char*, 6> kTexts = {
        "plain",          "with \"quotes\" and \\", "<&>",
        "Grüße, 世界 🚀", "line\nbreak\ttab\x01",   "a/b.c-d_e"};
    return kTexts[Next() % kTexts.size()] + std::to_string(Next() % 1000);
  }

  void FillField(Message* message, const FieldSchema& field, int depth) {
    const auto& reflection = *message->GetReflection();
    if (field.type == ValueType::kMessage && depth <= 0) return;
    if (field.map) {
      for (uint64_t i = 0, n = 1 + Next() % 3; i < n; ++i) {
        void* value = field.map_access->insert(message, Text());
        if (field.type == ValueType::kMessage) {
          static_cast<Message*>(value)->Clear();
          Fill(static_cast<Message*>(value), depth - 1);
        } else {
          *static_cast<std::string*>(value) = Text();
        }
      }
      return;
    }
    const FieldDescriptor* d = field.descriptor;
    const int count = field.list ? static_cast<int>(1 + Next() % 3) : 1;
    for (int i = 0; i < count; ++i) {
      switch (field.type) {
        case ValueType::kMessage:
          Fill(field.list ? reflection.AddMessage(message, d)
                          : reflection.MutableMessage(message, d),
               depth - 1);
          break;
        case ValueType::kString:
        case ValueType::kBytes:
          field.list ? reflection.AddString(message, d, Text())
                     : reflection.SetString(message, d, Text());
          break;
        case ValueType::kBool:
          field.list ? reflection.AddBool(message, d, true) : reflection.SetBool(message, d, true);
          break;
        case ValueType::kInt32: {
          const auto value =
              static_cast<int32_t>(1 + Next() % 2147483647u) * (Next() % 2 == 0 ? 1 : -1);
          field.list ? reflection.AddInt32(message, d, value)
                     : reflection.SetInt32(message, d, value);
          break;
        }
        case ValueType::kInt64: {
          const auto value = static_cast<int64_t>(1 + Next() % 9000000000000000000u);
          field.list ? reflection.AddInt64(message, d, value)
                     : reflection.SetInt64(message, d, value);
          break;
        }
        case ValueType::kDouble: {
          const double value = static_cast<double>(1 + Next() % 1000000) / 64;
          field.list ? reflection.AddDouble(message, d, value)
                     : reflection.SetDouble(message, d, value);
          break;
        }
      }
    }
  }

  void FillForm(Message* message, const MessageSchema& schema, int depth) {
    namespace crd = apiextensions::v1;
    const auto seconds = static_cast<int64_t>(1 + Next() % 4000000000u);
    switch (schema.form()) {
      case JsonForm::kTime:
        static_cast<meta::v1::Time*>(message)->set_seconds(seconds);
        static_cast<meta::v1::Time*>(message)->set_nanos(0);
        break;
      case JsonForm::kMicroTime:
        static_cast<meta::v1::MicroTime*>(message)->set_seconds(seconds);
        static_cast<meta::v1::MicroTime*>(message)->set_nanos(
            static_cast<int32_t>(1 + Next() % 999999) * 1000);
        break;
      case JsonForm::kDuration:
        static_cast<meta::v1::Duration*>(message)->set_duration(
            static_cast<int64_t>(Next() % 100000000000000u));
        break;
      case JsonForm::kQuantity: {
        static constexpr std::array<const char*, 6> kQuantities = {"100m", "1", "1536Mi",
                                                                   "2k",   "0", "128974848"};
        (void)ReadTextForm(JsonForm::kQuantity, kQuantities[Next() % kQuantities.size()], message);
        break;
      }
      case JsonForm::kIntOrString:
        if (Next() % 2 == 0) {
          SetInt(static_cast<int32_t>(Next() % 65536), message);
        } else {
          (void)ReadTextForm(JsonForm::kIntOrString, "25%", message);
        }
        break;
      case JsonForm::kRaw:
        SetRaw(R"({"f:a":{".":{}},"n":1.0,"s":"x y","l":[null,true,-2e3]})", message);
        break;
      case JsonForm::kStrings:
        FillField(message, schema.fields()[0], depth);
        break;
      case JsonForm::kSchemaOrArray:
        Fill(static_cast<crd::JSONSchemaPropsOrArray*>(message)->mutable_schema(), depth - 1);
        break;
      case JsonForm::kSchemaOrBool:
        static_cast<crd::JSONSchemaPropsOrBool*>(message)->set_allows(true);
        break;
      case JsonForm::kSchemaOrStrings:
        static_cast<crd::JSONSchemaPropsOrStringArray*>(message)->add_property(Text());
        break;
      case JsonForm::kObject:
        break;
    }
  }

  uint64_t state_;
  std::map<const google::protobuf::Descriptor*, int> open_;
};

}  // namespace

void FillMessage(Message* message, uint64_t seed, int depth) { Filler(seed).Fill(message, depth); }

}  // namespace gantry::api::testing
