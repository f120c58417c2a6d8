class Explorer:
    pass
