#include <algorithm>
#include <map>
#include <optional>

#include "api/core/v1/limit_range.pb.h"
#include "api/core/v1/persistent_volume_claim.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/quantity.h"
#include "apiserver/admission/plugins.h"

namespace gantry::apiserver {
namespace {

using api::Quantity;
using api::core::v1::LimitRange;
using api::core::v1::LimitRangeItem;
using api::core::v1::Pod;
using ResourceList = google::protobuf::Map<std::string, api::resource::Quantity>;

std::optional<Quantity> Find(const ResourceList& list, const std::string& name) {
  auto it = list.find(name);
  if (it == list.end()) return std::nullopt;
  return Quantity::ParseOrZero(it->second.string());
}

// The names of a list in a fixed order.
std::vector<std::string> SortedKeys(const ResourceList& list) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : list)
    keys.push_back(name);
  std::sort(keys.begin(), keys.end());
  return keys;
}

void FillMissing(const ResourceList& defaults, ResourceList* list,
                 std::vector<std::string>* filled) {
  for (const std::string& name : SortedKeys(defaults)) {
    if (list->find(name) != list->end()) continue;
    (*list)[name] = defaults.at(name);
    filled->push_back(name);
  }
}

// "cpu, memory request for container c"
void Note(const std::vector<std::string>& names, const std::string& what, std::string* note) {
  if (names.empty()) return;
  std::string list;
  for (const std::string& name : names)
    list += (list.empty() ? "" : ", ") + name;
  *note += (note->empty() ? "" : "; ") + list + " " + what;
}

void CheckBounds(const LimitRangeItem& item, const ResourceList& requests,
                 const ResourceList& limits, std::vector<std::string>* errors) {
  for (const std::string& name : SortedKeys(item.min())) {
    const Quantity least = Quantity::ParseOrZero(item.min().at(name).string());
    const std::string start =
        "minimum " + name + " usage per " + item.type() + " is " + least.ToString();
    std::optional<Quantity> request = Find(requests, name), limit = Find(limits, name);
    if (!request) {
      errors->push_back(start + ".  No request is specified");
    } else if (*request < least) {
      errors->push_back(start + ", but request is " + request->ToString());
    } else if (limit && *limit < least) {
      errors->push_back(start + ", but limit is " + limit->ToString());
    }
  }
  for (const std::string& name : SortedKeys(item.max())) {
    const Quantity most = Quantity::ParseOrZero(item.max().at(name).string());
    const std::string start =
        "maximum " + name + " usage per " + item.type() + " is " + most.ToString();
    std::optional<Quantity> request = Find(requests, name), limit = Find(limits, name);
    const bool of_claim = item.type() == "PersistentVolumeClaim";
    if (of_claim ? !request : !limit) {
      errors->push_back(start +
                        (of_claim ? ".  No request is specified" : ".  No limit is specified"));
    } else if (limit && *limit > most) {
      errors->push_back(start + ", but limit is " + limit->ToString());
    } else if (request && *request > most) {
      errors->push_back(start + ", but request is " + request->ToString());
    }
  }
}

void CheckRatio(const LimitRangeItem& item, const ResourceList& requests,
                const ResourceList& limits, std::vector<std::string>* errors) {
  for (const std::string& name : SortedKeys(item.max_limit_request_ratio())) {
    const Quantity most = Quantity::ParseOrZero(item.max_limit_request_ratio().at(name).string());
    const std::string start =
        name + " max limit to request ratio per " + item.type() + " is " + most.ToString();
    std::optional<Quantity> request = Find(requests, name), limit = Find(limits, name);
    if (!request || request->IsZero()) {
      errors->push_back(start + ", but no request is specified or request is 0");
      continue;
    }
    if (!limit || limit->IsZero()) {
      errors->push_back(start + ", but no limit is specified or limit is 0");
      continue;
    }
    const double ratio = limit->AsDouble() / request->AsDouble();
    if (ratio <= most.AsDouble()) continue;
    errors->push_back(start + ", but provided ratio is " + std::to_string(ratio));
  }
}

void CheckAll(const LimitRangeItem& item, const ResourceList& requests, const ResourceList& limits,
              std::vector<std::string>* errors) {
  CheckBounds(item, requests, limits, errors);
  CheckRatio(item, requests, limits, errors);
}

void AddTo(const ResourceList& list, std::map<std::string, Quantity>* totals) {
  for (const auto& [name, value] : list)
    (*totals)[name] += Quantity::ParseOrZero(value.string());
}

// Init containers run one after another, before the others.
void TakeLarger(const ResourceList& list, std::map<std::string, Quantity>* totals) {
  for (const auto& [name, value] : list) {
    Quantity& total = (*totals)[name];
    total = std::max(total, Quantity::ParseOrZero(value.string()));
  }
}

ResourceList ListOf(const std::map<std::string, Quantity>& totals) {
  ResourceList list;
  for (const auto& [name, value] : totals)
    list[name].set_string(value.ToString());
  return list;
}

class Plugin : public AdmissionPlugin {
 public:
  explicit Plugin(Registry& registry) : registry_(registry) {}
  std::string_view name() const override { return "LimitRanger"; }

  Status Mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.Is("", "pods") ||
        !request.subresource.empty())
      return {};
    Pod* pod = static_cast<Pod*>(request.object);
    std::string note;
    ForEachItem(request.ns, [&](const LimitRangeItem& item) {
      if (item.type() != "Container") return;
      auto fill = [&](auto* containers, const char* type) {
        for (auto& container : *containers) {
          std::vector<std::string> requests, limits;
          FillMissing(item.default_request(), container.mutable_resources()->mutable_requests(),
                      &requests);
          FillMissing(item.default_(), container.mutable_resources()->mutable_limits(), &limits);
          Note(requests, "request for " + std::string(type) + " " + container.name(), &note);
          Note(limits, "limit for " + std::string(type) + " " + container.name(), &note);
        }
      };
      fill(pod->mutable_spec()->mutable_containers(), "container");
      fill(pod->mutable_spec()->mutable_init_containers(), "init container");
    });
    if (!note.empty()) {
      (*pod->mutable_metadata()->mutable_annotations())["kubernetes.io/limit-ranger"] =
          "LimitRanger plugin set: " + note;
    }
    return {};
  }

  Status Validate(const AdmissionRequest& request) override {
    if (request.object == nullptr || !request.subresource.empty()) return {};
    std::vector<std::string> errors;
    if (request.Is("", "pods") && request.operation == Operation::kCreate) {
      CheckPod(request.ns, static_cast<const Pod&>(*request.object), &errors);
    } else if (request.Is("", "persistentvolumeclaims")) {
      const auto& claim = static_cast<const api::core::v1::PersistentVolumeClaim&>(*request.object);
      ForEachItem(request.ns, [&](const LimitRangeItem& item) {
        if (item.type() == "PersistentVolumeClaim")
          CheckBounds(item, claim.spec().resources().requests(), {}, &errors);
      });
    }
    if (errors.empty()) return {};
    std::string all;
    for (const std::string& error : errors)
      all += (all.empty() ? "" : ", ") + error;
    return request.Forbid(errors.size() == 1 ? all : "[" + all + "]");
  }

 private:
  template <class Visit>
  void ForEachItem(std::string_view ns, Visit visit) const {
    store::Selection selection;
    selection.ns = std::string(ns);
    for (const api::ObjectPtr& object :
         registry_.CacheOf(api::KindOf<LimitRange>()).List(selection).objects) {
      for (const LimitRangeItem& item : object->As<LimitRange>().spec().limits())
        visit(item);
    }
  }

  void CheckPod(std::string_view ns, const Pod& pod, std::vector<std::string>* errors) const {
    ForEachItem(ns, [&](const LimitRangeItem& item) {
      if (item.type() == "Container") {
        for (const auto& container : pod.spec().containers()) {
          CheckAll(item, container.resources().requests(), container.resources().limits(), errors);
        }
        for (const auto& container : pod.spec().init_containers()) {
          CheckAll(item, container.resources().requests(), container.resources().limits(), errors);
        }
      } else if (item.type() == "Pod") {
        std::map<std::string, Quantity> requests, limits;
        for (const auto& container : pod.spec().containers()) {
          AddTo(container.resources().requests(), &requests);
          AddTo(container.resources().limits(), &limits);
        }
        for (const auto& container : pod.spec().init_containers()) {
          TakeLarger(container.resources().requests(), &requests);
          TakeLarger(container.resources().limits(), &limits);
        }
        CheckAll(item, ListOf(requests), ListOf(limits), errors);
      }
    });
  }

  Registry& registry_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> LimitRanger(Registry& registry) {
  return std::make_unique<Plugin>(registry);
}

}  // namespace gantry::apiserver
