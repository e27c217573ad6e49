from ui.shell import page_header

page_header("Classify")
