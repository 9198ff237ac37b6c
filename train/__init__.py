"""The fusion model of MultiEMO and its trainer: reads feature files, knows nothing of videos."""
