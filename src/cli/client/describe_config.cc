#include <algorithm>
#include <map>

#include "api/base64.h"
#include "cli/client/describe_page.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

// How many bytes base64 text stands for.
size_t DecodedSize(const std::string& text) {
  std::string decoded;
  return api::DecodeBase64(text, &decoded) >= 0 ? text.size() : decoded.size();
}

std::map<std::string, std::string> Sorted(const JsonValue& object, const char* field) {
  std::map<std::string, std::string> out;
  if (const JsonValue* map = object.Find(field); map != nullptr && map->is_object()) {
    for (const auto& [name, value] : map->as_object())
      out[name] = ScalarText(value);
  }
  return out;
}

void AddQuota(const JsonValue& quota, size_t level, const char* underline, Page* page) {
  page->Line(level, {"Resource", "Used", "Hard"});
  page->Line(level, {"--------", underline, underline});
  if (const JsonValue* hard = At(quota, "status.hard"); hard != nullptr && hard->is_object()) {
    std::map<std::string, std::string> sorted;
    for (const auto& [name, value] : hard->as_object())
      sorted[name] = ScalarText(value);
    for (const auto& [name, value] : sorted)
      page->Line(level, {name, OrNone(MemberAt(quota, "status.used", name), "0"), value});
  }
}

void AddSubjects(const JsonValue& binding, Page* page) {
  page->Head("Subjects:");
  page->Line(1, {"Kind", "Name", "Namespace"});
  page->Line(1, {"----", "----", "---------"});
  for (const JsonValue& subject : ItemsAt(binding, "subjects"))
    page->Line(1, {TextAt(subject, "kind"), TextAt(subject, "name"), TextAt(subject, "namespace")});
}

std::string Bracketed(const std::vector<std::string>& texts) {
  return "[" + JoinText(texts, " ") + "]";
}

struct PolicyLine {
  std::string resource, url, name;
  std::vector<std::string> verbs;
  std::string group, type;

  // What kubectl sorts by: the rule as Go prints it.
  std::string SortKey() const {
    return JoinText(verbs, " ") + "],APIGroups:[" + group + "],Resources:[" + type +
           "],ResourceNames:[" + name + "],NonResourceURLs:[" + url + "]";
  }
};

// One line for each resource of a rule; those of the same resource become one.
std::vector<PolicyLine> PolicyLines(const JsonValue& role) {
  std::vector<PolicyLine> lines;
  auto add = [&](PolicyLine added) {
    for (PolicyLine& line : lines) {
      if (line.resource != added.resource || line.url != added.url || line.name != added.name)
        continue;
      for (const std::string& verb : added.verbs) {
        if (std::find(line.verbs.begin(), line.verbs.end(), verb) == line.verbs.end())
          line.verbs.push_back(verb);
      }
      return;
    }
    lines.push_back(std::move(added));
  };
  for (const JsonValue& rule : ItemsAt(role, "rules")) {
    const std::vector<std::string> verbs = Texts(rule, "verbs");
    for (const std::string& url : Texts(rule, "nonResourceURLs"))
      add({"", url, "", verbs, "", ""});
    std::vector<std::string> names = Texts(rule, "resourceNames");
    if (names.empty()) names.emplace_back();
    for (const std::string& group : Texts(rule, "apiGroups")) {
      for (const std::string& resource : Texts(rule, "resources")) {
        // "deployments.apps/scale"
        const size_t slash = resource.find('/');
        std::string shown = resource.substr(0, slash) + (group.empty() ? "" : "." + group);
        if (slash != std::string::npos) shown += resource.substr(slash);
        for (const std::string& name : names)
          add({shown, "", name, verbs, group, resource});
      }
    }
  }
  std::stable_sort(lines.begin(), lines.end(), [](const PolicyLine& a, const PolicyLine& b) {
    return a.SortKey() < b.SortKey();
  });
  return lines;
}

}  // namespace

void DescribeConfigMap(const Described& what, Page* page) {
  AddIdentity(what.object, page);
  page->Raw("\nData\n====\n");
  for (const auto& [key, value] : Sorted(what.object, "data"))
    page->Raw(key + ":\n----\n" + value + "\n\n");
  page->Raw("\nBinaryData\n====\n");
  for (const auto& [key, value] : Sorted(what.object, "binaryData"))
    page->Raw(key + ": " + std::to_string(DecodedSize(value)) + " bytes\n");
  page->Raw("\n");
}

void DescribeSecret(const Described& what, Page* page) {
  AddIdentity(what.object, page);
  page->Raw("\n");
  page->Line(0, {"Type:", TextAt(what.object, "type")});
  page->Raw("\nData\n====\n");
  for (const auto& [key, value] : Sorted(what.object, "data"))
    page->Line(0, {key + ":", std::to_string(DecodedSize(value)) + " bytes"});
}

void DescribeNamespace(const Described& what, Page* page) {
  AddName(what.object, page);
  AddLabels(what.object, page);
  AddAnnotations(what.object, page);
  page->Line(0, {"Status:", TextAt(what.object, "status.phase")});
  const auto& conditions = ItemsAt(what.object, "status.conditions");
  if (!conditions.empty()) {
    page->Head("Conditions:");
    page->Line(1, {"Type", "Status", "LastTransitionTime", "Reason", "Message"});
    page->Line(1, {"----", "------", "------------------", "------", "-------"});
    for (const JsonValue& condition : conditions)
      page->Line(1, {TextAt(condition, "type"), TextAt(condition, "status"),
                     LongTime(TextAt(condition, "lastTransitionTime")), TextAt(condition, "reason"),
                     TextAt(condition, "message")});
  }
  const auto& quotas = what.Related("quotas");
  page->Raw(quotas.empty() ? "\nNo resource quota.\n" : "\nResource Quotas\n");
  for (const JsonValue& quota : quotas) {
    page->Line(1, {"Name:", TextAt(quota, "metadata.name")});
    AddQuota(quota, 1, "---", page);
  }
  const auto& limits = what.Related("limits");
  page->Raw(limits.empty() ? "\nNo LimitRange resource.\n" : "\nResource Limits\n");
  if (limits.empty()) return;
  page->Line(1, {"Type", "Resource", "Min", "Max", "Default Request", "Default Limit",
                 "Max Limit/Request Ratio"});
  page->Line(1, {"----", "--------", "---", "---", "---------------", "-------------",
                 "-----------------------"});
  for (const JsonValue& range : limits) {
    for (const JsonValue& limit : ItemsAt(range, "spec.limits")) {
      static constexpr const char* kFields[] = {"min", "max", "defaultRequest", "default",
                                                "maxLimitRequestRatio"};
      std::map<std::string, std::vector<std::string>> rows;
      for (size_t i = 0; i < std::size(kFields); ++i) {
        for (const auto& [resource, amount] : Sorted(limit, kFields[i])) {
          rows[resource].resize(std::size(kFields), "-");
          rows[resource][i] = amount;
        }
      }
      for (auto& [resource, row] : rows) {
        row.insert(row.begin(), {TextAt(limit, "type"), resource});
        page->Line(1, row);
      }
    }
  }
}

void DescribeResourceQuota(const Described& what, Page* page) {
  AddName(what.object, page);
  AddNamespace(what.object, page);
  if (const auto scopes = Texts(what.object, "spec.scopes"); !scopes.empty())
    page->Line(0, {"Scopes:", JoinText(scopes, ", ")});
  AddQuota(what.object, 0, "----", page);
}

void DescribeServiceAccount(const Described& what, Page* page) {
  AddIdentity(what.object, page);
  for (const auto& [field, title] :
       {std::pair("imagePullSecrets", "Image pull secrets:"), {"secrets", "Mountable secrets:"}}) {
    std::vector<std::string> names;
    for (const JsonValue& ref : ItemsAt(what.object, field))
      names.push_back(TextAt(ref, "name"));
    page->Lines(0, title, names);
  }
  std::vector<std::string> tokens;
  for (const JsonValue& secret : what.Related("tokens")) {
    if (MemberAt(secret, "metadata.annotations", "kubernetes.io/service-account.uid") ==
        TextAt(what.object, "metadata.uid"))
      tokens.push_back(TextAt(secret, "metadata.name"));
  }
  page->Lines(0, "Tokens:", tokens);
}

void DescribePriorityClass(const Described& what, Page* page) {
  AddName(what.object, page);
  page->Line(0, {"Value:", TextAt(what.object, "value")});
  page->Line(0, {"GlobalDefault:", Truth(BoolAt(what.object, "globalDefault"))});
  page->Line(0, {"PreemptionPolicy:",
                 OrNone(TextAt(what.object, "preemptionPolicy"), "PreemptLowerPriority")});
  page->Line(0, {"Description:", TextAt(what.object, "description")});
  AddAnnotations(what.object, page);
}

void DescribeRole(const Described& what, Page* page) {
  AddName(what.object, page);
  AddLabels(what.object, page);
  AddAnnotations(what.object, page);
  page->Head("PolicyRule:");
  page->Line(1, {"Resources", "Non-Resource URLs", "Resource Names", "Verbs"});
  page->Line(1, {"---------", "-----------------", "--------------", "-----"});
  for (const PolicyLine& line : PolicyLines(what.object))
    page->Line(1,
               {line.resource, "[" + line.url + "]", "[" + line.name + "]", Bracketed(line.verbs)});
}

void DescribeRoleBinding(const Described& what, Page* page) {
  AddName(what.object, page);
  AddLabels(what.object, page);
  AddAnnotations(what.object, page);
  page->Head("Role:");
  page->Line(1, {"Kind:", TextAt(what.object, "roleRef.kind")});
  page->Line(1, {"Name:", TextAt(what.object, "roleRef.name")});
  AddSubjects(what.object, page);
}

}  // namespace gantry::cli
