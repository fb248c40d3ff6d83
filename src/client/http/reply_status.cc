#include "client/http/reply_status.h"

#include <simdjson.h>

#include <string>
#include <utility>

#include "base/wire/http1.h"

namespace gantry::client {
namespace {

constexpr size_t kMaxTextBytes = 1024;

std::string TextOf(const simdjson::dom::object& object, std::string_view field) {
  std::string_view text;
  return object[field].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

StatusDetails DetailsOf(const simdjson::dom::object& object) {
  StatusDetails details;
  details.group = TextOf(object, "group");
  details.kind = TextOf(object, "kind");
  details.name = TextOf(object, "name");
  details.uid = TextOf(object, "uid");
  int64_t seconds = 0;
  if (object["retryAfterSeconds"].get(seconds) == simdjson::SUCCESS) {
    details.retry_after_seconds = static_cast<int>(seconds);
  }
  simdjson::dom::array causes;
  if (object["causes"].get(causes) == simdjson::SUCCESS) {
    for (simdjson::dom::element element : causes) {
      simdjson::dom::object cause;
      if (element.get(cause) != simdjson::SUCCESS) continue;
      StatusCause entry;
      entry.reason = TextOf(cause, "reason");
      entry.message = TextOf(cause, "message");
      entry.field = TextOf(cause, "field");
      details.causes.push_back(std::move(entry));
    }
  }
  return details;
}

}  // namespace

Code CodeOfReply(int http_status, std::string_view reason) {
  for (int i = static_cast<int>(Code::kOk) + 1; i <= static_cast<int>(Code::kTimeout); ++i) {
    if (ReasonOf(static_cast<Code>(i)) == reason) return static_cast<Code>(i);
  }
  for (int i = static_cast<int>(Code::kOk) + 1; i <= static_cast<int>(Code::kTimeout); ++i) {
    if (HttpStatusOf(static_cast<Code>(i)) == http_status) return static_cast<Code>(i);
  }
  return http_status >= 500 ? Code::kInternalError : Code::kBadRequest;
}

Status StatusOfReply(int http_status, std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(simdjson::padded_string(body)).get(object) == simdjson::SUCCESS &&
      TextOf(object, "kind") == "Status") {
    StatusDetails details;
    simdjson::dom::object fields;
    if (object["details"].get(fields) == simdjson::SUCCESS) details = DetailsOf(fields);
    return Status(CodeOfReply(http_status, TextOf(object, "reason")), TextOf(object, "message"),
                  std::move(details));
  }
  std::string text(body.substr(0, kMaxTextBytes));
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  if (text.empty())
    text = std::to_string(http_status) + " " + std::string(wire::ReasonPhrase(http_status));
  return Status(CodeOfReply(http_status, ""), "the server answered: " + text);
}

}  // namespace gantry::client
