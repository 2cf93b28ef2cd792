/* SPDX-License-Identifier: MIT */
#include "control.h"
#include "record_options.h"
#include "record_session.h"
#include "report.h"

int main(int argc, char **argv)
{
	struct record_options options;
	struct record_error error = {0};
	int ret;

	report_init();
	ret = record_options_parse(&options, argc, argv, &error);
	if (ret > 0)
		return 0;
	if (ret < 0) {
		report_error("%s", error.message);
		return 2;
	}
	if (options.send_path)
		return control_send(options.send_path, options.words, options.nr_words);
	report_set_quiet(options.quiet);
	return record_session_run(&options);
}
