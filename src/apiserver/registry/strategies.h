#pragma once

#include "apiserver/registry/strategy.h"

namespace gantry::apiserver {

// The preparation functions that the strategy table names, by group of kinds.
using Message = google::protobuf::Message;

// core_strategies.cc
void PreparePod(const PrepareContext& context, Message* object);
void PreparePodUpdate(const PrepareContext& context, Message* object, const Message& old);
void PreparePodStatus(const PrepareContext& context, Message* object, const Message& old);
void PrepareNamespace(const PrepareContext& context, Message* object);
void PrepareNamespaceUpdate(const PrepareContext& context, Message* object, const Message& old);
void PrepareSecret(const PrepareContext& context, Message* object);
void PrepareSecretUpdate(const PrepareContext& context, Message* object, const Message& old);
void PrepareService(const PrepareContext& context, Message* object);
void PrepareServiceUpdate(const PrepareContext& context, Message* object, const Message& old);
void PrepareClaim(const PrepareContext& context, Message* object);
void PrepareVolume(const PrepareContext& context, Message* object);
Status AllocateService(Allocators& allocators, Message* object, const Message* old,
                       std::vector<store::Write>* writes, api::FieldErrors* errors);
void ReleaseService(Allocators& allocators, const Message& old, std::vector<store::Write>* writes);

// workload_strategies.cc
void PrepareJob(const PrepareContext& context, Message* object);
void PrepareSigningRequest(const PrepareContext& context, Message* object);
void PrepareSigningRequestUpdate(const PrepareContext& context, Message* object,
                                 const Message& old);

}  // namespace gantry::apiserver
