#pragma once

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/pod_template.pb.h"
#include "api/validation/check.h"

// Pods and what they are made from.
namespace gantry::api::validation {

// `pod_name` is empty where the spec is not that of a real pod.
void CheckPodSpec(const Path& path, const core::v1::PodSpec& spec, std::string_view pod_name,
                  bool is_pod, Errors* errors);
void CheckPodTemplate(const Path& path, const core::v1::PodTemplateSpec& pod_template,
                      Errors* errors);
// Of a workload that keeps its pods running: restart policy Always and no deadline. `what` names
// the kind in a message.
void CheckWorkloadTemplate(const Path& path, const core::v1::PodTemplateSpec& pod_template,
                           std::string_view what, Errors* errors);

void CheckPodCreate(const core::v1::Pod& pod, Errors* errors);
void CheckPodUpdate(const core::v1::Pod& pod, const core::v1::Pod& old, Errors* errors);
void CheckPodStatusUpdate(const core::v1::Pod& pod, const core::v1::Pod& old, Errors* errors);
void CheckPodEphemeralUpdate(const core::v1::Pod& pod, const core::v1::Pod& old, Errors* errors);
void CheckPodResize(const core::v1::Pod& pod, const core::v1::Pod& old, Errors* errors);

}  // namespace gantry::api::validation
