/* SPDX-License-Identifier: MIT */
/* spec_macros.h - the words that the tables of call and argument meanings are written in. */
#ifndef SPEC_MACROS_H
#define SPEC_MACROS_H

#include "record_layout.h"
#include "semantics.h"

/* clang-format off */
#define HIDDEN           {.kind = ARG_HIDDEN}
#define INT              {.kind = ARG_INT}
#define UINT             {.kind = ARG_UINT}
#define LONG             {.kind = ARG_LONG}
#define ULONG            {.kind = ARG_ULONG}
#define HEX              {.kind = ARG_HEX}
#define HEX32            {.kind = ARG_HEX32}
#define ADDRESS          {.kind = ARG_ADDRESS}
#define FD               {.kind = ARG_FD}
#define DIRFD            {.kind = ARG_DIRFD}
#define ID               {.kind = ARG_ID}
#define MODE             {.kind = ARG_MODE}
#define FMODE            {.kind = ARG_FMODE}
#define DEVICE           {.kind = ARG_DEVICE}
#define SIGNAL           {.kind = ARG_SIGNAL}
#define NAME(set)        {.kind = ARG_NAME, .names = &names_##set}
#define FLAGS(set)       {.kind = ARG_FLAGS, .names = &names_##set}
#define IPC_FLAGS(set)   {.kind = ARG_IPC_FLAGS, .names = &names_##set}
#define CLONE_FLAGS      {.kind = ARG_CLONE_FLAGS, .names = &names_clone}
#define IOCTL            {.kind = ARG_IOCTL}
#define OPTION_NAME      {.kind = ARG_OPTION_NAME}
#define PROTOCOL         {.kind = ARG_PROTOCOL}

#define STRING           {.kind = ARG_STRING, .direction = ARG_IN, .len = LEN_NONE}
#define STRING_OUT       {.kind = ARG_STRING, .direction = ARG_OUT, .len = LEN_NONE}
#define BYTES(n)         {.kind = ARG_BUFFER, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define BYTES_OUT        {.kind = ARG_BUFFER, .direction = ARG_OUT, .len = LEN_RET}
#define STRINGS          {.kind = ARG_STRINGS, .direction = ARG_IN, .len = LEN_NONE}
#define ENVIRON          {.kind = ARG_ENVIRON, .direction = ARG_IN, .len = LEN_NONE}
#define IOVEC(n)         {.kind = ARG_IOVEC, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define IOVEC_OUT(n)     {.kind = ARG_IOVEC, .direction = ARG_OUT, .len = LEN_ARG0 + (n)}
#define RECORD(what)     {.kind = ARG_RECORD, .direction = ARG_IN, .len = LEN_NONE, .layout = &layout_##what}
#define RECORD_OUT(what) {.kind = ARG_RECORD, .direction = ARG_OUT, .len = LEN_NONE, .layout = &layout_##what}
#define RECORD_IO(what)  {.kind = ARG_RECORD, .direction = ARG_INOUT, .len = LEN_NONE, .layout = &layout_##what}
#define RECORD_WHEN(what, when_) {.kind = ARG_RECORD, .direction = ARG_OUT, .len = LEN_NONE, .when = when_, \
				  .layout = &layout_##what}
#define RECORDS(what, n)    {.kind = ARG_RECORDS, .direction = ARG_IN, .len = LEN_ARG0 + (n), .layout = &layout_##what}
#define RECORDS_IO(what, n) {.kind = ARG_RECORDS, .direction = ARG_INOUT, .len = LEN_ARG0 + (n), \
			     .layout = &layout_##what}
#define RECORDS_OUT(what)   {.kind = ARG_RECORDS, .direction = ARG_OUT, .len = LEN_RET, .layout = &layout_##what}
#define SOCKADDR(n)      {.kind = ARG_SOCKADDR, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define SOCKADDR_OUT(n)  {.kind = ARG_SOCKADDR, .direction = ARG_OUT, .len = LEN_AT + (n)}
#define SOCKLEN          {.kind = ARG_SOCKLEN, .direction = ARG_INOUT, .len = LEN_NONE, .layout = &layout_int}
#define OPTION(n)        {.kind = ARG_OPTION, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define OPTION_OUT(n)    {.kind = ARG_OPTION, .direction = ARG_OUT, .len = LEN_AT + (n)}
#define SIGSET           {.kind = ARG_SIGSET, .direction = ARG_IN, .len = LEN_NONE}
#define SIGSET_OUT       {.kind = ARG_SIGSET, .direction = ARG_OUT, .len = LEN_NONE}
#define SIGSET_PAIR      {.kind = ARG_SIGSET_PAIR, .direction = ARG_IN, .len = LEN_NONE}
#define FDSET            {.kind = ARG_FDSET, .direction = ARG_INOUT, .len = LEN_ARG0}
#define CPUSET(n)        {.kind = ARG_CPUSET, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define CPUSET_OUT       {.kind = ARG_CPUSET, .direction = ARG_OUT, .len = LEN_RET}
#define MESSAGE          {.kind = ARG_MESSAGE, .direction = ARG_IN, .len = LEN_NONE}
#define MESSAGE_OUT      {.kind = ARG_MESSAGE, .direction = ARG_INOUT, .len = LEN_NONE}
#define DIRENTS          {.kind = ARG_DIRENTS, .direction = ARG_OUT, .len = LEN_RET}
#define CLONE_ARGS       {.kind = ARG_CLONE_ARGS, .direction = ARG_IN, .len = LEN_ARG0 + 1}

#define HANDLER          {.kind = ARG_HANDLER}
#define OLD_SIGSET       {.kind = ARG_OLD_SIGSET}
#define WIDE             {.kind = ARG_WIDE}
#define PAIR             {.kind = ARG_PAIR}
#define PAIR_HIGH        {.kind = ARG_PAIR_HIGH}
#define PAIR_FLAGS(set)  {.kind = ARG_PAIR_FLAGS, .names = &names_##set}
#define PAGES            {.kind = ARG_PAGES}
#define QUOTA            {.kind = ARG_QUOTA}
#define PRIORITY         {.kind = ARG_PRIORITY}
#define SIZED(what, n)   {.kind = ARG_SIZED, .direction = ARG_IN, .len = n, .layout = &layout_##what}
#define SIZED_OUT(what, n) {.kind = ARG_SIZED, .direction = ARG_OUT, .len = n, .layout = &layout_##what}
#define MESSAGES(n)      {.kind = ARG_MESSAGES, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define MESSAGES_OUT(n)  {.kind = ARG_MESSAGES, .direction = ARG_INOUT, .len = LEN_ARG0 + (n)}
#define NODES(n)         {.kind = ARG_NODES, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define NODES_OUT(n)     {.kind = ARG_NODES, .direction = ARG_OUT, .len = LEN_ARG0 + (n)}
#define QUEUED(n)        {.kind = ARG_QUEUED, .direction = ARG_IN, .len = LEN_ARG0 + (n)}
#define QUEUED_OUT       {.kind = ARG_QUEUED, .direction = ARG_OUT, .len = LEN_RET}
#define CONTROL_BLOCKS(n) {.kind = ARG_CONTROL_BLOCKS, .direction = ARG_IN, .len = LEN_ARG0 + (n)}

#define CALL(call, ...)  {.name = #call, .args = {__VA_ARGS__}}
#define RETURNS(kind)    .ret = RET_##kind
#define FLAG(flag)       .flags = CALL_F_##flag

#define CASE(value, n, ...)             {value, n, RET_INT, NULL, {__VA_ARGS__}}
#define CASE_RET(value, n, ret, names)  {value, n, RET_##ret, names, {{0}}}
#define VARIANTS(set, selector_, at_, mask_)                                   \
	const struct variant_set variants_##set = {.selector = selector_,      \
						   .at = at_,                  \
						   .mask = mask_,              \
						   .variants = set##_variants, \
						   .n = sizeof(set##_variants) / sizeof(set##_variants[0])}
/* clang-format on */

#endif
