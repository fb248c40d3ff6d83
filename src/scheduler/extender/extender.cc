#include "scheduler/extender/extender.h"

#include <algorithm>

#include "base/env/cancel.h"
#include "base/wire/headers.h"

namespace gantry::scheduler {
namespace {

using api::JsonValue;

// Go matches the names of members whatever their case; so do the extenders that people have.
const JsonValue* Member(const JsonValue& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  for (const auto& [key, value] : object.as_object()) {
    if (wire::EqualFold(key, name) && !value.is_null()) return &value;
  }
  return nullptr;
}

std::string TextOf(const JsonValue* value) {
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

int64_t IntOf(const JsonValue* value) {
  constexpr double kMost = 1e15;  // whatever a stranger sends
  if (value == nullptr || !value->is_number()) return 0;
  return static_cast<int64_t>(std::clamp(value->as_double(), -kMost, kMost));
}

std::map<std::string, std::string> TextsOf(const JsonValue* value) {
  std::map<std::string, std::string> texts;
  if (value == nullptr || !value->is_object()) return texts;
  for (const auto& [key, text] : value->as_object())
    texts[key] = TextOf(&text);
  return texts;
}

std::string NamesOf(const Extender::Nodes& nodes) {
  JsonValue names = JsonValue::MakeArray();
  for (const auto& node : nodes)
    names.as_array().emplace_back(node->metadata().name());
  return names.ToString();
}

std::string PodsJson(const Victims& victims, bool whole) {
  std::string out = "{\"Pods\":[";
  for (size_t i = 0; i < victims.pods.size(); ++i) {
    if (i > 0) out += ',';
    if (whole) {
      out += *victims.pods[i]->pod.object()->json();
    } else {
      out += "{\"UID\":" + JsonValue(victims.pods[i]->uid()).ToString() + "}";
    }
  }
  return out + "],\"NumPDBViolations\":" + std::to_string(victims.budget_violations) + "}";
}

}  // namespace

Result<std::unique_ptr<Extender>> Extender::Make(Env& env, const ExtenderConfig& config) {
  client::HttpTransportOptions options;
  options.servers.push_back(config.url_prefix);
  options.server_name = config.server_name;
  options.user_agent = "gantry-scheduler";
  if (config.url_prefix.starts_with("https://")) {
    wire::TlsClientOptions tls;
    tls.ca_pem = config.ca_pem;
    tls.certificate_pem = config.certificate_pem;
    tls.private_key_pem = config.private_key_pem;
    tls.insecure_skip_verify = config.insecure;
    GANTRY_ASSIGN(options.tls, wire::TlsContext::Client(tls));
  }
  return std::unique_ptr<Extender>(
      new Extender(env, config, std::make_unique<client::HttpTransport>(env, std::move(options))));
}

bool Extender::IsInterested(const PodInfo& pod) const {
  const auto& managed = config_.managed_resources;
  if (managed.empty()) return true;
  auto wants = [&](const auto& containers) {
    return std::any_of(containers.begin(), containers.end(), [&](const auto& container) {
      return std::any_of(managed.begin(), managed.end(), [&](const std::string& name) {
        return container.resources().requests().contains(name) ||
               container.resources().limits().contains(name);
      });
    });
  };
  return wants(pod.pod->spec().containers()) || wants(pod.pod->spec().init_containers());
}

Task<Result<JsonValue>> Extender::Ask(std::string verb, std::string body) {
  const std::string url = config_.url_prefix + "/" + verb;
  client::HttpRequest request("POST", "/" + verb);
  request.headers.Set("Content-Type", "application/json");
  request.body = std::move(body);
  CancelSource timeout;
  const std::unique_ptr<TimerHandle> timer = env_.CallAt(
      env_.Steady() + config_.timeout, [cancel = timeout]() mutable { cancel.Cancel(); });
  Result<client::HttpReply> reply = co_await transport_->Fetch(std::move(request), timeout.token());
  if (!reply.ok()) {
    const std::string why = reply.code() == Code::kCanceled
                                ? "context deadline exceeded (Client.Timeout exceeded while "
                                  "awaiting headers)"
                                : reply.status().message();
    co_return Status(Code::kUnavailable, "Post \"" + url + "\": " + why);
  }
  if (reply->status != 200) {
    co_return Status(Code::kUnavailable, "failed " + verb + " with extender at URL " + url +
                                             ", code " + std::to_string(reply->status));
  }
  co_return JsonValue::Parse(reply->body);
}

std::string Extender::NodeArguments(const PodInfo& pod, const Nodes& nodes) const {
  std::string out = "{\"Pod\":" + *pod.pod.object()->json();
  if (config_.node_cache_capable)
    return out + ",\"Nodes\":null,\"NodeNames\":" + NamesOf(nodes) + "}";
  out += ",\"Nodes\":{\"kind\":\"NodeList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[";
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i > 0) out += ',';
    out += *nodes[i].object()->json();
  }
  return out + "]},\"NodeNames\":null}";
}

Task<Result<Extender::Filtered>> Extender::Filter(PodInfoPtr pod, Nodes nodes) {
  Result<JsonValue> answer = co_await Ask(config_.filter_verb, NodeArguments(*pod, nodes));
  if (!answer.ok()) co_return answer.status();
  if (const std::string error = TextOf(Member(*answer, "Error")); !error.empty())
    co_return Status(Code::kUnavailable, error);
  Filtered filtered;
  filtered.failed = TextsOf(Member(*answer, "FailedNodes"));
  filtered.failed_for_good = TextsOf(Member(*answer, "FailedAndUnresolvableNodes"));
  const JsonValue* names = Member(*answer, "NodeNames");
  const JsonValue* list = Member(*answer, "Nodes");
  if (config_.node_cache_capable && names != nullptr && names->is_array()) {
    for (const JsonValue& name : names->as_array())
      filtered.nodes.push_back(TextOf(&name));
  } else if (list != nullptr) {
    const JsonValue* items = Member(*list, "items");
    if (items != nullptr && items->is_array()) {
      for (const JsonValue& node : items->as_array()) {
        const JsonValue* metadata = Member(node, "metadata");
        if (metadata != nullptr) filtered.nodes.push_back(TextOf(Member(*metadata, "name")));
      }
    }
  }
  for (const std::string& name : filtered.nodes) {
    const bool asked = std::any_of(nodes.begin(), nodes.end(), [&](const auto& node) {
      return node->metadata().name() == name;
    });
    if (!asked)
      co_return Status(Code::kUnavailable, "extender \"" + config_.url_prefix +
                                               "\" claims a filtered node \"" + name +
                                               "\" which is not found in the input node list");
  }
  co_return filtered;
}

Task<Result<std::map<std::string, int64_t>>> Extender::Prioritize(PodInfoPtr pod, Nodes nodes) {
  Result<JsonValue> answer = co_await Ask(config_.prioritize_verb, NodeArguments(*pod, nodes));
  if (!answer.ok()) co_return answer.status();
  std::map<std::string, int64_t> scores;
  if (answer->is_array()) {
    for (const JsonValue& entry : answer->as_array())
      scores[TextOf(Member(entry, "Host"))] = IntOf(Member(entry, "Score"));
  }
  co_return scores;
}

Task<Result<Extender::Candidates>> Extender::Preempt(PodInfoPtr pod, Candidates candidates,
                                                     PodsByNode on_node) {
  const bool whole = !config_.node_cache_capable;
  std::string body = "{\"Pod\":" + *pod->pod.object()->json() + ",\"" +
                     (whole ? "NodeNameToVictims" : "NodeNameToMetaVictims") + "\":{";
  bool first = true;
  for (const auto& [node, victims] : candidates) {
    body += (first ? "" : ",") + JsonValue(node).ToString() + ":" + PodsJson(victims, whole);
    first = false;
  }
  body += "}}";
  Result<JsonValue> answer = co_await Ask(config_.preempt_verb, std::move(body));
  if (!answer.ok()) co_return answer.status();
  Candidates left;
  const JsonValue* by_node = Member(*answer, "NodeNameToMetaVictims");
  if (by_node == nullptr || !by_node->is_object()) co_return left;
  for (const auto& [node, meta] : by_node->as_object()) {
    Victims& victims = left[node];
    victims.budget_violations = IntOf(Member(meta, "NumPDBViolations"));
    const JsonValue* pods = Member(meta, "Pods");
    const size_t count = pods != nullptr && pods->is_array() ? pods->as_array().size() : 0;
    for (size_t i = 0; i < count; ++i) {
      const std::string uid = TextOf(Member(pods->as_array()[i], "UID"));
      const auto& there = on_node[node];
      auto victim = std::find_if(there.begin(), there.end(),
                                 [&](const PodInfoPtr& other) { return other->uid() == uid; });
      if (victim == there.end())
        co_return Status(Code::kUnavailable,
                         "extender: " + config_.url_prefix + " claims to preempt pod (UID: " + uid +
                             ") on node: " + node + ", but the pod is not found on that node");
      victims.pods.push_back(*victim);
    }
    if (!victims.pods.empty()) continue;
    if (!config_.ignorable)
      co_return Status(Code::kUnavailable,
                       "expected at least one victim pod on node \"" + node + "\"");
    left.erase(node);
  }
  co_return left;
}

Task<Status> Extender::Bind(PodInfoPtr pod, std::string node) {
  JsonValue arguments = JsonValue::MakeObject();
  arguments["PodName"] = pod->pod->metadata().name();
  arguments["PodNamespace"] = pod->pod->metadata().namespace_();
  arguments["PodUID"] = pod->uid();
  arguments["Node"] = node;
  Result<JsonValue> answer = co_await Ask(config_.bind_verb, arguments.ToString());
  if (!answer.ok()) co_return answer.status();
  const std::string error = TextOf(Member(*answer, "Error"));
  co_return error.empty() ? Status() : Status(Code::kUnavailable, error);
}

}  // namespace gantry::scheduler
