#pragma once

#include <string>

namespace gantry::api::core::v1 {
class PodTemplateSpec;
}

namespace gantry::controllers {

// A stable short hash of the template; `collision_count` makes another one when a name is taken.
std::string TemplateHash(const api::core::v1::PodTemplateSpec& pod_template, int collision_count);

}  // namespace gantry::controllers
