// All of regard's public contract.
#pragma once

#include "regard/attention.h"
#include "regard/attention_plan.h"
#include "regard/chat.h"
#include "regard/conversation.h"
#include "regard/dtype.h"
#include "regard/error.h"
#include "regard/kv_cache.h"
#include "regard/model.h"
#include "regard/program.h"
#include "regard/rope.h"
#include "regard/view.h"
