/* SPDX-License-Identifier: MIT */
/* All of Holdfast's core. */
#ifndef HOLDFAST_HOLDFAST_H
#define HOLDFAST_HOLDFAST_H

#include <holdfast/check.h>
#include <holdfast/collapse.h>
#include <holdfast/lock.h>
#include <holdfast/mm.h>
#include <holdfast/object.h>
#include <holdfast/phys.h>
#include <holdfast/pin.h>
#include <holdfast/port.h>
#include <holdfast/report.h>
#include <holdfast/status.h>
#include <holdfast/swap.h>
#include <holdfast/trace.h>
#include <holdfast/types.h>

#endif
