#include "cli/client/describe_page.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

// What is different between the two directions.
struct Direction {
  const char *type, *name, *rules, *peers, *title, *any;
};
constexpr Direction kDirections[] = {
    {"Ingress", "ingress", "spec.ingress", "from", "From", "source"},
    {"Egress", "egress", "spec.egress", "to", "To", "destination"},
};

std::string SelectorText(const JsonValue& selector) { return OrNone(SelectorQuery(selector)); }

// 2026-11-30T16:44:08Z as Go prints a time.
std::string PlainTime(std::string text) {
  if (const size_t t = text.find('T'); t != std::string::npos) text[t] = ' ';
  if (!text.empty() && text.back() == 'Z') text.replace(text.size() - 1, 1, " +0000 UTC");
  return text;
}

void AddPorts(const JsonValue& rule, Page* page) {
  if (ItemsAt(rule, "ports").empty())
    page->Line(2, {"To Port: <any> (traffic allowed to all ports)"});
  for (const JsonValue& port : ItemsAt(rule, "ports")) {
    const std::string protocol = "/" + OrNone(TextAt(port, "protocol"), "TCP");
    const std::string number = OrNone(TextAt(port, "port"), "<nil>");
    if (const std::string end = TextAt(port, "endPort"); !end.empty()) {
      page->Line(2, {"To Port Range: " + number + "-" + end + protocol});
    } else {
      page->Line(2, {"To Port: " + number + protocol});
    }
  }
}

void AddPeers(const JsonValue& rule, const Direction& direction, Page* page) {
  const std::string title = direction.title;
  const auto& peers = ItemsAt(rule, direction.peers);
  if (peers.empty()) {
    page->Line(2, {title + ": <any> (traffic not restricted by " + direction.any + ")"});
  }
  for (const JsonValue& peer : peers) {
    page->Line(2, {title + ":"});
    if (const JsonValue* selector = peer.Find("namespaceSelector"))
      page->Line(3, {"NamespaceSelector: " + SelectorText(*selector)});
    if (const JsonValue* selector = peer.Find("podSelector"))
      page->Line(3, {"PodSelector: " + SelectorText(*selector)});
    if (const JsonValue* block = peer.Find("ipBlock")) {
      page->Line(3, {"IPBlock:"});
      page->Line(4, {"CIDR: " + TextAt(*block, "cidr")});
      page->Line(4, {"Except: " + JoinText(Texts(*block, "except"), ", ")});
    }
  }
}

void AddDirection(const JsonValue& policy, const Direction& direction, Page* page) {
  bool affected = false;
  for (const std::string& type : Texts(policy, "spec.policyTypes"))
    affected |= type == direction.type;
  const std::string name = direction.name;
  if (!affected) {
    page->Line(1, {"Not affecting " + name + " traffic"});
    return;
  }
  page->Line(1, {"Allowing " + name + " traffic:"});
  const auto& rules = ItemsAt(policy, direction.rules);
  if (rules.empty())
    page->Line(2, {"<none> (Selected pods are isolated for " + name + " connectivity)"});
  for (const JsonValue& rule : rules) {
    if (&rule != &rules.front()) page->Line(2, {"----------"});
    AddPorts(rule, page);
    AddPeers(rule, direction, page);
  }
}

}  // namespace

void DescribeNetworkPolicy(const Described& what, Page* page) {
  const JsonValue& policy = what.object;
  AddName(policy, page);
  AddNamespace(policy, page);
  page->Line(0, {"Created on:", PlainTime(TextAt(policy, "metadata.creationTimestamp"))});
  AddLabels(policy, page);
  AddAnnotations(policy, page);
  page->Line(0, {"Spec:"});
  const JsonValue* selector = At(policy, "spec.podSelector");
  const std::string pods = selector == nullptr ? std::string() : SelectorQuery(*selector);
  page->Line(
      1, {"PodSelector:     " + OrNone(pods,
                                       "<none> (Allowing the specific traffic to all pods in this "
                                       "namespace)")});
  for (const Direction& direction : kDirections)
    AddDirection(policy, direction, page);
  page->Line(1, {"Policy Types: " + JoinText(Texts(policy, "spec.policyTypes"), ", ")});
}

}  // namespace gantry::cli
