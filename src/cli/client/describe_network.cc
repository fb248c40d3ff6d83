#include <algorithm>

#include "cli/client/describe_page.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr size_t kShownEndpoints = 3;

bool ServesPort(const JsonValue& port, const std::string& name) {
  return TextAt(port, "name") == name;
}

// "10.0.0.1:80,10.0.0.2:80 + 4 more..."
std::string EndpointsOf(const std::vector<JsonValue>& slices, const std::string& port_name) {
  if (slices.empty()) return "<none>";
  std::vector<std::string> list;
  for (const JsonValue& slice : slices) {
    std::vector<std::string> ports;
    for (const JsonValue& port : ItemsAt(slice, "ports")) {
      if (ServesPort(port, port_name)) ports.push_back(":" + TextAt(port, "port"));
    }
    if (ItemsAt(slice, "ports").empty()) ports.emplace_back();
    for (const std::string& port : ports) {
      for (const JsonValue& endpoint : ItemsAt(slice, "endpoints")) {
        const JsonValue* ready = At(endpoint, "conditions.ready");
        if (ready != nullptr && !BoolAt(endpoint, "conditions.ready")) continue;
        for (const std::string& address : Texts(endpoint, "addresses"))
          list.push_back((address.find(':') == std::string::npos ? address : "[" + address + "]") +
                         port);
      }
    }
  }
  if (list.size() <= kShownEndpoints) return JoinText(list, ",");
  const size_t more = list.size() - kShownEndpoints;
  list.resize(kShownEndpoints);
  return JoinText(list, ",") + " + " + std::to_string(more) + " more...";
}

void AddOptional(const JsonValue& object, const char* path, const char* title, Page* page) {
  if (const std::string text = TextAt(object, path); !text.empty()) page->Line(0, {title, text});
}

void AddPortTable(const JsonValue& holder, size_t level, bool port_first, Page* page) {
  const auto& ports = ItemsAt(holder, "ports");
  page->Line(level, {"Name", "Port", "Protocol"});
  page->Line(level, {"----", "----", "--------"});
  for (const JsonValue& port : ports)
    page->Line(level, {OrNone(TextAt(port, "name"), "<unset>"),
                       OrNone(TextAt(port, "port"), port_first ? "<unset>" : ""),
                       OrNone(TextAt(port, "protocol"), "TCP")});
}

}  // namespace

void DescribeService(const Described& what, Page* page) {
  const JsonValue& service = what.object;
  AddIdentity(service, page);
  page->Line(0, {"Selector:", OrNone(JoinText(Pairs(service, "spec.selector", "="), ","))});
  page->Line(0, {"Type:", TextAt(service, "spec.type")});
  AddOptional(service, "spec.ipFamilyPolicy", "IP Family Policy:", page);
  page->Line(0, {"IP Families:", OrNone(JoinText(Texts(service, "spec.ipFamilies"), ","))});
  page->Line(0, {"IP:", TextAt(service, "spec.clusterIP")});
  page->Line(0, {"IPs:", OrNone(JoinText(Texts(service, "spec.clusterIPs"), ","))});
  if (const auto external = Texts(service, "spec.externalIPs"); !external.empty())
    page->Line(0, {"External IPs:", JoinText(external, ",")});
  AddOptional(service, "spec.loadBalancerIP", "Desired LoadBalancer IP:", page);
  AddOptional(service, "spec.externalName", "External Name:", page);
  std::vector<std::string> ingress;
  for (const JsonValue& one : ItemsAt(service, "status.loadBalancer.ingress")) {
    ingress.push_back(OrNone(TextAt(one, "ip"), TextAt(one, "hostname").c_str()));
    if (const std::string mode = TextAt(one, "ipMode"); !mode.empty())
      ingress.back() += " (" + mode + ")";
  }
  if (!ingress.empty()) page->Line(0, {"LoadBalancer Ingress:", JoinText(ingress, ", ")});
  for (const JsonValue& port : ItemsAt(service, "spec.ports")) {
    const std::string name = OrNone(TextAt(port, "name"), "<unset>");
    const std::string protocol = "/" + TextAt(port, "protocol");
    page->Line(0, {"Port:", name, TextAt(port, "port") + protocol});
    page->Line(0, {"TargetPort:", TextAt(port, "targetPort") + protocol});
    if (IntAt(port, "nodePort") > 0)
      page->Line(0, {"NodePort:", name, TextAt(port, "nodePort") + protocol});
    page->Line(0, {"Endpoints:", EndpointsOf(what.Related("slices"), TextAt(port, "name"))});
  }
  page->Line(0, {"Session Affinity:", TextAt(service, "spec.sessionAffinity")});
  AddOptional(service, "spec.externalTrafficPolicy", "External Traffic Policy:", page);
  AddOptional(service, "spec.internalTrafficPolicy", "Internal Traffic Policy:", page);
  AddOptional(service, "spec.trafficDistribution", "Traffic Distribution:", page);
  if (IntAt(service, "spec.healthCheckNodePort") > 0)
    page->Line(0, {"HealthCheck NodePort:", TextAt(service, "spec.healthCheckNodePort")});
  if (const auto ranges = Texts(service, "spec.loadBalancerSourceRanges"); !ranges.empty())
    page->Line(0, {"LoadBalancer Source Ranges:", JoinText(ranges, ",")});
}

void DescribeEndpoints(const Described& what, Page* page) {
  const JsonValue& endpoints = what.object;
  AddIdentity(endpoints, page);
  page->Head("Subsets:");
  for (const JsonValue& subset : ItemsAt(endpoints, "subsets")) {
    for (const auto& [field, title] :
         {std::pair("addresses", "Addresses:"), {"notReadyAddresses", "NotReadyAddresses:"}}) {
      std::vector<std::string> addresses;
      for (const JsonValue& address : ItemsAt(subset, field))
        addresses.push_back(TextAt(address, "ip"));
      page->Line(1, {title, OrNone(JoinText(addresses, ","))});
    }
    if (!ItemsAt(subset, "ports").empty()) {
      page->Line(1, {"Ports:"});
      AddPortTable(subset, 2, false, page);
    }
    page->Head("");
  }
}

void DescribeEndpointSlice(const Described& what, Page* page) {
  const JsonValue& slice = what.object;
  AddIdentity(slice, page);
  page->Line(0, {"AddressType:", TextAt(slice, "addressType")});
  if (ItemsAt(slice, "ports").empty()) {
    page->Line(0, {"Ports:", "<unset>"});
  } else {
    page->Head("Ports:");
    AddPortTable(slice, 1, true, page);
  }
  const auto& endpoints = ItemsAt(slice, "endpoints");
  if (endpoints.empty()) page->Line(0, {"Endpoints:", "<none>"});
  if (!endpoints.empty()) page->Head("Endpoints:");
  for (const JsonValue& endpoint : endpoints) {
    page->Line(1, {"- Addresses:", JoinText(Texts(endpoint, "addresses"), ",")});
    page->Line(2, {"Conditions:"});
    const JsonValue* ready = At(endpoint, "conditions.ready");
    page->Line(3, {"Ready:", ready == nullptr ? "<unset>" : ScalarText(*ready)});
    page->Line(2, {"Hostname:", OrNone(TextAt(endpoint, "hostname"), "<unset>")});
    if (const JsonValue* target = endpoint.Find("targetRef"))
      page->Line(2, {"TargetRef:", TextAt(*target, "kind") + "/" + TextAt(*target, "name")});
    page->Line(2, {"NodeName:", OrNone(TextAt(endpoint, "nodeName"), "<unset>")});
    page->Line(2, {"Zone:", OrNone(TextAt(endpoint, "zone"), "<unset>")});
  }
}

}  // namespace gantry::cli
