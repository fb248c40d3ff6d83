#include "cli/client/describe_page.h"

#include <algorithm>

#include "api/duration.h"
#include "cli/client/align_tabs.h"
#include "cli/client/event_list.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr size_t kAnnotationWidth = 140;
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

std::string Trimmed(std::string text) {
  const char* const space = " \t\r\n";
  text.erase(text.find_last_not_of(space) + 1);
  text.erase(0, std::min(text.find_first_not_of(space), text.size()));
  return text;
}

}  // namespace

const std::vector<JsonValue>& Described::Related(const std::string& name) const {
  static const std::vector<JsonValue> kNone;
  const auto found = related.find(name);
  return found == related.end() ? kNone : found->second;
}

void Page::Line(size_t level, const std::vector<std::string>& cells) {
  text_.append(level * 2, ' ');
  text_ += JoinText(cells, "\t") + "\n";
}

void Page::Lines(size_t level, const std::string& title, const std::vector<std::string>& values) {
  Line(level, {title, values.empty() ? "<none>" : values[0]});
  for (size_t i = 1; i < values.size(); ++i)
    Line(0, {"", values[i]});
}

std::string Page::Aligned() const { return AlignTabs(text_); }

std::string OrNone(std::string text, const char* none) {
  return text.empty() ? none : std::move(text);
}

std::vector<std::string> Pairs(const JsonValue& object, std::string_view path,
                               const char* between) {
  std::map<std::string, std::string> sorted;
  if (const JsonValue* map = At(object, path); map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->as_object())
      sorted[name] = ScalarText(value);
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : sorted)
    out.push_back(name + between + value);
  return out;
}

std::vector<std::string> Texts(const JsonValue& object, std::string_view path) {
  std::vector<std::string> out;
  for (const JsonValue& item : ItemsAt(object, path))
    out.push_back(ScalarText(item));
  return out;
}

std::string LongTime(const std::string& text) {
  if (text.empty()) return "<unset>";
  const Result<WallTime> time = api::ParseTime(text);
  if (!time.ok()) return text;
  const auto days = std::chrono::floor<std::chrono::days>(*time);
  const std::chrono::year_month_day date(days);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const unsigned day = static_cast<unsigned>(date.day());
  return std::string(kDays[std::chrono::weekday(days).c_encoding()]) + ", " +
         (day < 10 ? "0" : "") + std::to_string(day) + " " +
         kMonths[static_cast<unsigned>(date.month()) - 1] + " " +
         std::to_string(static_cast<int>(date.year())) + " " +
         api::FormatTime(*time).substr(11, 8) + " +0000";
}

const char* Truth(bool value, const char* yes, const char* no) { return value ? yes : no; }

void AddName(const JsonValue& object, Page* page) {
  page->Line(0, {"Name:", TextAt(object, "metadata.name")});
}

void AddNamespace(const JsonValue& object, Page* page) {
  page->Line(0, {"Namespace:", TextAt(object, "metadata.namespace")});
}

void AddLabels(const JsonValue& object, Page* page) {
  page->Lines(0, "Labels:", Pairs(object, "metadata.labels", "="));
}

void AddAnnotations(const JsonValue& object, Page* page, size_t level) {
  std::vector<std::string> lines;
  std::map<std::string, std::string> sorted;
  if (const JsonValue* map = At(object, "metadata.annotations");
      map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->as_object())
      sorted[name] = ScalarText(value);
  }
  sorted.erase(kLastApplied);
  for (auto& [name, value] : sorted) {
    if (value.ends_with('\n')) value.pop_back();
    if (name.size() + value.size() + 2 <= kAnnotationWidth &&
        value.find('\n') == std::string::npos) {
      lines.push_back(name + ": " + value);
      continue;
    }
    lines.push_back(name + ":");
    for (const std::string& line : SplitText(value, '\n')) {
      const bool whole = line.size() <= kAnnotationWidth - 2;
      lines.push_back("  " + (whole ? line : line.substr(0, kAnnotationWidth - 2) + "..."));
    }
  }
  page->Lines(level, "Annotations:", lines);
}

void AddIdentity(const JsonValue& object, Page* page) {
  AddName(object, page);
  AddNamespace(object, page);
  AddLabels(object, page);
  AddAnnotations(object, page);
}

void AddSelector(const JsonValue& object, Page* page) {
  const JsonValue* selector = At(object, "spec.selector");
  page->Line(0, {"Selector:", selector == nullptr ? "<unset>" : SelectorQuery(*selector)});
}

void AddController(const JsonValue& object, Page* page) {
  for (const JsonValue& owner : ItemsAt(object, "metadata.ownerReferences")) {
    if (BoolAt(owner, "controller"))
      page->Line(0, {"Controlled By:", TextAt(owner, "kind") + "/" + TextAt(owner, "name")});
  }
}

void AddConditions(const JsonValue& object, Page* page) {
  const auto& conditions = ItemsAt(object, "status.conditions");
  if (conditions.empty()) return;
  page->Head("Conditions:");
  page->Line(1, {"Type", "Status", "Reason"});
  page->Line(1, {"----", "------", "------"});
  for (const JsonValue& condition : conditions)
    page->Line(1, {TextAt(condition, "type") + " ", TextAt(condition, "status"),
                   TextAt(condition, "reason")});
}

void AddEvents(const Described& what, Page* page) {
  if (what.events.empty()) {
    page->Line(0, {"Events:", "<none>"});
    return;
  }
  page->Head("Events:");
  page->Line(1, {"Type", "Reason", "Age", "From", "Message"});
  page->Line(1, {"----", "------", "----", "----", "-------"});
  for (const JsonValue& event : what.events) {
    std::string from = TextAt(event, "source.component");
    if (from.empty()) from = TextAt(event, "reportingComponent");
    page->Line(1, {TextAt(event, "type"), TextAt(event, "reason"), EventAge(event, what.now), from,
                   Trimmed(TextAt(event, "message"))});
  }
}

}  // namespace gantry::cli
