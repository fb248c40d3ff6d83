#pragma once

namespace google::protobuf {
class Message;
}

namespace gantry::api {

// Fills in what the client left out, for a whole object of any built-in kind, by the rules of its
// version in Kubernetes. Doing it twice changes nothing. Messages without rules are left as they
// are.
void SetDefaults(google::protobuf::Message* object);

}  // namespace gantry::api
