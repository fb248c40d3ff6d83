#pragma once

#include "scheduler/config/field_reader.h"
#include "scheduler/plugins/profile.h"

namespace gantry::scheduler {

// Reads one entry of pluginConfig ({name, args}) into the profile.
void ReadPluginConfig(FieldReader& entry, ProfileConfig* profile);

}  // namespace gantry::scheduler
