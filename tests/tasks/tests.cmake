regard_test(tasks/tasks LINKS tasks)
