#include "controllers/history/history.h"

#include <algorithm>

#include "api/json.h"
#include "api/json_value.h"
#include "api/owners.h"
#include "api/same.h"
#include "controllers/history/template_hash.h"

namespace gantry::controllers {
namespace {

using api::apps::v1::ControllerRevision;
using api::core::v1::PodTemplateSpec;

constexpr std::string_view kReplace = R"("$patch":"replace")";

// {"spec":{"template":{...,"$patch":"replace"}}}
std::string PatchOf(const PodTemplateSpec& pod_template) {
  std::string text;
  api::WriteJson(pod_template, &text);
  text.pop_back();
  if (text.size() > 1) text += ',';
  return R"({"spec":{"template":)" + text + std::string(kReplace) + "}}}";
}

// By number; equal numbers, which only a meddler makes, by age.
bool IsOlderRevision(const RevisionRef& a, const RevisionRef& b) {
  if (a->revision() != b->revision()) return a->revision() < b->revision();
  return a.object()->revision() < b.object()->revision();
}

}  // namespace

Result<PodTemplateSpec> TemplateOf(const ControllerRevision& revision) {
  GANTRY_ASSIGN(api::JsonValue patch, api::JsonValue::Parse(revision.data().raw()));
  const api::JsonValue* spec = patch.Find("spec");
  const api::JsonValue* found = spec ? spec->Find("template") : nullptr;
  if (!found) {
    return Status(Code::kDataLoss,
                  "controller revision " + revision.metadata().name() + " holds no template");
  }
  PodTemplateSpec pod_template;
  GANTRY_TRY(api::ReadJson(found->ToString(), &pod_template));
  return pod_template;
}

TemplateRevision FindTemplateRevision(const api::KindInfo& kind,
                                      const api::meta::v1::ObjectMeta& owner,
                                      const PodTemplateSpec& pod_template,
                                      const std::vector<RevisionRef>& revisions,
                                      int collision_count) {
  RevisionRef equal, newest;
  for (const RevisionRef& revision : revisions) {
    if (!newest || IsOlderRevision(newest, revision)) newest = revision;
    const Result<PodTemplateSpec> kept = TemplateOf(*revision);
    if (kept.ok() && api::Same(*kept, pod_template) &&
        (!equal || IsOlderRevision(equal, revision))) {
      equal = revision;
    }
  }
  const int64_t next = newest ? newest->revision() + 1 : 1;
  TemplateRevision found;
  if (equal) {
    found.exists = true;
    found.revision = *equal;
    found.newest = equal->metadata().uid() == newest->metadata().uid();
    if (!found.newest) found.revision.set_revision(next);
    return found;
  }
  const std::string hash = TemplateHash(pod_template, collision_count);
  auto* meta = found.revision.mutable_metadata();
  meta->set_name(owner.name() + "-" + hash);
  meta->set_namespace_(owner.namespace_());
  *meta->mutable_labels() = pod_template.metadata().labels();
  (*meta->mutable_labels())[kind.kind == "DaemonSet" ? kRevisionHashLabel : kHistoryHashLabel] =
      hash;
  *meta->mutable_annotations() = owner.annotations();
  meta->mutable_annotations()->erase("kubectl.kubernetes.io/last-applied-configuration");
  *meta->add_owner_references() = api::MakeControllerRef(kind, owner);
  found.revision.mutable_data()->set_raw(PatchOf(pod_template));
  found.revision.set_revision(next);
  found.newest = true;
  return found;
}

void TruncateHistory(std::vector<RevisionRef> revisions, const std::vector<std::string>& live,
                     int limit, client::Plan* plan) {
  std::erase_if(revisions, [&](const RevisionRef& revision) {
    return std::find(live.begin(), live.end(), revision->metadata().name()) != live.end();
  });
  std::sort(revisions.begin(), revisions.end(), IsOlderRevision);
  const int surplus = static_cast<int>(revisions.size()) - limit;
  for (int i = 0; i < surplus; ++i) {
    plan->Delete(*revisions[i]);
    plan->actions.back().independent = true;
  }
}

}  // namespace gantry::controllers
